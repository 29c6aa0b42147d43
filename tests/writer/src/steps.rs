//! A host that does one thing for each line of its standard input, so that a test can change the world in between. Each
//! line is answered by one of standard output.
//!
//! | line | what it does |
//! |---|---|
//! | `record` | twenty cycles on this thread, and on a new one: the same ring for each of them, when it can be had |
//! | `close` | as a daemon does: closes all descriptors but the standard ones, and takes their numbers for a file of its own |
//! | `fork` | a child records twenty cycles, and looks whether its descriptors are still there |
//! | `check` | says what others wrote into that file |
//!
//! At the end of its input it says what it recorded, and ends with status 7.

use std::io::{BufRead, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::ExitCode;

use crate::numbered::Cycles;
use crate::output::say;

/// Cycles of each thread a line.
const CYCLES: u64 = 20;
/// Number of the first thread that a line starts.
const FIRST_THREAD: u64 = 100;
/// Descriptors that a daemon takes for its own file.
const TAKEN: libc::c_int = 64;

/// Does what the lines say.
pub(crate) fn run() -> ExitCode {
    let mut own = Cycles::new(0);
    let mut threads = 0;
    let mut file = None;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "record" => {
                record(&mut own);
                record_on_new_thread(FIRST_THREAD + threads);
                threads += 1;
            }
            "fork" => fork(FIRST_THREAD + threads),
            "close" => file = Some(close_all()),
            "check" => say(format_args!(
                "{} foreign bytes",
                file.as_mut().map_or(0, foreign)
            )),
            _ => {}
        }
        say(format_args!("done {line}"));
    }
    say_recorded(0, own.number);
    eprintln!("done");
    ExitCode::from(7)
}

fn record(cycles: &mut Cycles) {
    for _ in 0..CYCLES {
        cycles.record_one();
    }
}

fn record_on_new_thread(thread: u64) {
    let other = std::thread::spawn(move || {
        let mut cycles = Cycles::new(thread);
        record(&mut cycles);
        say_recorded(thread, cycles.number);
    });
    other.join().expect("a thread does not panic");
}

fn say_recorded(thread: u64, records: u64) {
    say(format_args!(
        "recorded {} {thread} {records} 0",
        std::process::id()
    ));
}

/// A child that has this process's descriptors, and records.
fn fork(thread: u64) {
    // SAFETY: the child records, asks for the state of descriptors and ends by `_exit`; the parent waits for it.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let open = |fd: &libc::c_int| libc::fcntl(*fd, libc::F_GETFD) >= 0;
            let before = (3..TAKEN).filter(open).count();
            let mut cycles = Cycles::new(thread);
            record(&mut cycles);
            let closed = before - (3..TAKEN).filter(open).count();
            say_recorded(thread, cycles.number);
            say(format_args!("{closed} descriptors closed"));
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        assert_eq!(status, 0, "the child failed");
    }
}

/// Closes everything, and has one file under each of the numbers that are free then.
fn close_all() -> std::fs::File {
    // SAFETY: nothing in this program but the recorder has descriptors of its own, and that one must bear it. The memfd is
    // owned by the File alone.
    unsafe {
        for fd in 3..TAKEN {
            libc::close(fd);
        }
        let file = libc::memfd_create(c"own".as_ptr(), 0);
        assert_eq!(file, 3, "the lowest number is free");
        for fd in 4..TAKEN {
            libc::dup2(file, fd);
        }
        std::fs::File::from_raw_fd(file)
    }
}

/// Bytes that stand in the daemon's own file.
fn foreign(file: &mut std::fs::File) -> usize {
    let mut bytes = Vec::new();
    file.rewind().expect("the file can be read");
    file.read_to_end(&mut bytes).expect("the file can be read");
    assert!(file.as_raw_fd() > 2);
    bytes.len()
}
