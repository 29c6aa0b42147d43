//! System calls, counted and not guessed: the kernel stops the traced program at each (ptrace), and calls that do not
//! exist mark where the loop of a case begins and ends. Slow, so it is done in a process of its own; what is counted
//! does not depend on how fast it is.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Numbers of system calls that do not exist.
const MARK_BEGIN: libc::c_long = 0x5253_0001;
/// See [`MARK_BEGIN`].
const MARK_END: libc::c_long = 0x5253_0002;
/// Set in the signal of a stop at a system call, so that it is no other trap.
const AT_SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;

/// Marks the begin of the loop of case number `case` for [`count`]; the kernel refuses the call, which is all it does.
pub fn mark_begin(case: usize) {
    // SAFETY: a system call that does not exist.
    unsafe { libc::syscall(MARK_BEGIN, case) };
}

/// Marks its end.
pub fn mark_end(case: usize) {
    // SAFETY: as above.
    unsafe { libc::syscall(MARK_END, case) };
}

/// Runs `command` to its end and counts the system calls of each of `case_count` cases between their marks, in all its
/// threads.
///
/// # Errors
///
/// What could not be started or traced, and why.
pub fn count(mut command: Command, case_count: usize) -> Result<Vec<u64>, String> {
    let program = command.get_program().display().to_string();
    let failed = |error: io::Error| format!("trace: {program}: {error}");
    // SAFETY: the closure makes one system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let child = command.spawn().map_err(failed)?;
    let mut tracer = Tracer {
        main: child.id() as i32,
        counts: vec![0; case_count],
        between_marks: HashMap::new(),
    };
    tracer.follow().map_err(failed)?;
    Ok(tracer.counts)
}

/// What a traced program has done so far.
struct Tracer {
    main: libc::pid_t,
    counts: Vec<u64>,
    /// By thread, the case whose loop it is in.
    between_marks: HashMap<libc::pid_t, usize>,
}

impl Tracer {
    fn follow(&mut self) -> io::Result<()> {
        self.wait_for_start()?;
        loop {
            let mut status = 0;
            // SAFETY: the pointer is live.
            let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
            if thread < 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::WIFSTOPPED(status) {
                let signal = self.stopped(thread, status);
                resume(thread, signal);
            } else if thread == self.main {
                return match status {
                    0 => Ok(()),
                    _ => Err(io::Error::other(format!(
                        "it ended with wait status {status}"
                    ))),
                };
            }
        }
    }

    /// The first stop comes when the program itself has taken the place of this one's copy.
    fn wait_for_start(&self) -> io::Result<()> {
        let options =
            libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
        let mut status = 0;
        // SAFETY: the pointer is live; options are passed by value.
        unsafe {
            if libc::waitpid(self.main, &mut status, 0) < 0
                || libc::ptrace(libc::PTRACE_SETOPTIONS, self.main, 0, options) != 0
            {
                return Err(io::Error::last_os_error());
            }
        }
        resume(self.main, 0);
        Ok(())
    }

    /// Takes note of a stop; the signal that the thread is to get.
    fn stopped(&mut self, thread: libc::pid_t, status: i32) -> i32 {
        match libc::WSTOPSIG(status) {
            AT_SYSTEM_CALL => {
                if let Some((number, case)) = entered_call(thread) {
                    self.entered(thread, number, case);
                }
                0
            }
            // A new thread begins with a stop, and its creator stops for it: neither is a signal of the program's own.
            libc::SIGSTOP | libc::SIGTRAP => 0,
            signal => signal,
        }
    }

    fn entered(&mut self, thread: libc::pid_t, number: libc::c_long, case: usize) {
        match number {
            MARK_BEGIN => {
                self.between_marks.insert(thread, case);
            }
            MARK_END => {
                self.between_marks.remove(&thread);
            }
            _ => {
                let case = self.between_marks.get(&thread);
                if let Some(count) = case.and_then(|case| self.counts.get_mut(*case)) {
                    *count += 1;
                }
            }
        }
    }
}

/// Number and first argument of the call that the thread is about to make; `None` when it comes back from one.
fn entered_call(thread: libc::pid_t) -> Option<(libc::c_long, usize)> {
    // SAFETY: the structure is plain and live, its size is given, and which part of the union is filled in `op` says.
    unsafe {
        let mut info: libc::ptrace_syscall_info = mem::zeroed();
        let size = size_of::<libc::ptrace_syscall_info>();
        libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size, &mut info);
        (info.op == libc::PTRACE_SYSCALL_INFO_ENTRY).then(|| {
            (
                info.u.entry.nr as libc::c_long,
                info.u.entry.args[0] as usize,
            )
        })
    }
}

/// Lets a thread go on to its next system call. One that was killed meanwhile is reported by the next wait.
fn resume(thread: libc::pid_t, signal: i32) {
    // SAFETY: no pointers are passed.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
}
