//! What the compiler makes of the hot path, stepped through instruction by instruction, alone and with signals.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::recorded::{only_run, processes};
use crate::toolchain::{Compile, Language, Linkage, compile, compiled, program, recording};

/// What the program runs between two breakpoints, in order, with the most instructions that each may take: what they
/// were when this was written, and a tenth. The three instructions around a call are included.
#[cfg(target_arch = "x86_64")]
const MOST_INSTRUCTIONS: [(&str, usize); 9] = [
    ("span", 150),
    ("plain", 145),
    ("three", 212),
    ("instant", 68),
    ("counter", 68),
    ("complete", 61),
    ("explicit writer", 150),
    ("off", 20),
    ("two laps", 250),
];

/// Where a stopped child is.
#[cfg(target_arch = "x86_64")]
fn instruction_pointer(child: libc::pid_t) -> u64 {
    // SAFETY: user_regs_struct is integers; the kernel fills it in.
    unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        let to = std::ptr::from_mut(&mut registers);
        assert_eq!(libc::ptrace(libc::PTRACE_GETREGS, child, 0, to), 0);
        registers.rip
    }
}

/// Lets a stopped child go on, by one instruction or to its next stop; false when it has ended.
fn go_on(child: libc::pid_t, request: libc::c_uint) -> bool {
    go_on_with(child, request, 0)
}

/// As [`go_on`], with a signal.
fn go_on_with(child: libc::pid_t, request: libc::c_uint, signal: libc::c_int) -> bool {
    let mut status = 0;
    // SAFETY: `child` is a traced child of this thread.
    unsafe {
        assert_eq!(libc::ptrace(request, child, 0, signal), 0);
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    if libc::WIFEXITED(status) {
        assert_eq!(libc::WEXITSTATUS(status), 0);
        return false;
    }
    assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP);
    true
}

/// Executable addresses of a program's own file.
fn own_code(child: libc::pid_t, program: &Path) -> Vec<std::ops::Range<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{child}/maps")).unwrap();
    let own = maps
        .lines()
        .filter(|line| line.ends_with(&program.display().to_string()));
    own.filter(|line| line.split_whitespace().nth(1).unwrap().contains('x'))
        .map(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap()
        })
        .collect()
}

/// True when the next instruction of a stopped child is a breakpoint.
#[cfg(target_arch = "x86_64")]
fn is_at_breakpoint(child: libc::pid_t, at: u64) -> bool {
    const BREAKPOINT: u8 = 0xCC;
    let memory = std::fs::File::open(format!("/proc/{child}/mem")).unwrap();
    let mut code = [0];
    std::os::unix::fs::FileExt::read_exact_at(&memory, &mut code, at).unwrap();
    code[0] == BREAKPOINT
}

/// Steps from one breakpoint to the next: instructions, and those of them outside `own` code.
#[cfg(target_arch = "x86_64")]
fn step_to_breakpoint(child: libc::pid_t, own: &[std::ops::Range<u64>]) -> (usize, usize) {
    let (mut steps, mut outside) = (0, 0);
    loop {
        let at = instruction_pointer(child);
        if is_at_breakpoint(child, at) {
            return (steps, outside);
        }
        outside += usize::from(!own.iter().any(|range| range.contains(&at)));
        steps += 1;
        assert!(go_on(child, libc::PTRACE_SINGLESTEP));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_hot_path_stays_in_the_program() {
    for options in [
        &["-O2"][..],
        &["-O2", "-fPIE", "-pie"],
        &["-O2", "-fno-pie", "-no-pie"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("hot");
        let what = Compile {
            language: Language::C,
            source: program("hot.c"),
            options,
            linkage: Linkage::Shared,
        };
        compile(&what, &binary);
        let child = start_traced(recording(&binary, &dir.path().join("runs")));
        let mut last = Vec::new();
        // Stops once at its first instruction, then at each breakpoint.
        assert!(go_on(child, libc::PTRACE_CONT));
        for round in 0..3 {
            let own = own_code(child, &binary);
            last.clear();
            for _ in MOST_INSTRUCTIONS {
                last.push(step_to_breakpoint(child, &own));
                assert!(go_on(child, libc::PTRACE_CONT));
            }
            if round < 2 {
                assert!(go_on(child, libc::PTRACE_CONT));
            }
        }
        while go_on(child, libc::PTRACE_CONT) {}
        println!("{options:?}: instructions, and those outside: {last:?}");
        for ((name, most), (steps, outside)) in MOST_INSTRUCTIONS.into_iter().zip(&last) {
            assert_eq!(
                *outside, 0,
                "{name} {options:?}: instructions outside the program"
            );
            assert!(
                *steps <= most,
                "{name} {options:?}: {steps} instructions, at most {most}"
            );
        }
    }
}

/// A signal at every instruction of a span and a counter: each is recorded, and so is the handler's span.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_signal_anywhere_splits_no_record() {
    /// More rounds than the code between the breakpoints has instructions.
    const ROUNDS: usize = 600;
    let dir = tempfile::tempdir().unwrap();
    let (binary, runs) = (dir.path().join("signals"), dir.path().join("runs"));
    compiled(Language::C, "signals.c", &binary);
    let mut command = recording(&binary, &runs);
    command.arg(ROUNDS.to_string());
    let child = start_traced(command);
    let mut signals = 0;
    for round in 0..ROUNDS {
        assert!(go_on(child, libc::PTRACE_CONT));
        let mut steps = 0;
        while steps < round && !is_at_breakpoint(child, instruction_pointer(child)) {
            assert!(go_on(child, libc::PTRACE_SINGLESTEP));
            steps += 1;
        }
        let signal = if steps == round { libc::SIGUSR1 } else { 0 };
        signals += usize::from(signal != 0);
        assert!(go_on_with(child, libc::PTRACE_CONT, signal));
    }
    assert!(!go_on(child, libc::PTRACE_CONT));
    assert!(
        signals > 200 && signals < ROUNDS,
        "{signals} signals, one at each instruction"
    );

    let processes = processes(&only_run(&runs));
    let texts = processes[0].texts();
    let of = |name: &str| texts.iter().filter(|text| text.starts_with(name)).count();
    assert_eq!((of("main "), of("counter ")), (ROUNDS + 1, ROUNDS + 1));
    assert_eq!(of("handler "), signals + 1);
    for round in 0..ROUNDS {
        let main = format!("main i={round} j={round} k={round}");
        assert!(texts.contains(&main.as_str()), "{main}");
    }
    assert!(processes[0].rings[0].open.is_empty());
    assert_eq!(processes[0].counted(), []);
}

/// Starts a program that stops at once.
#[cfg(target_arch = "x86_64")]
fn start_traced(mut command: Command) -> libc::pid_t {
    // Lazy binding would resolve functions while the test counts.
    command.env("LD_BIND_NOW", "1");
    // SAFETY: between fork and exec the child makes one system call.
    unsafe {
        command.pre_exec(|| {
            let traced = libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            if traced == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    let child = command.spawn().unwrap().id() as libc::pid_t;
    let mut status = 0;
    // SAFETY: waits for the stop that exec of a traced child brings.
    unsafe { assert_eq!(libc::waitpid(child, &mut status, 0), child) };
    assert!(libc::WIFSTOPPED(status));
    child
}
