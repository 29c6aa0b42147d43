//! Two processes that hand messages back and forth over pipes. Option: `count`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

use crate::options::Options;

/// Records `send` {message} before each write and `receive` {message} after each read.
pub(crate) fn run(options: &Options) {
    let count = options.number("count", 500);
    let (to_child, to_parent) = (pipe(), pipe());
    // SAFETY: one thread; the child uses the pipes and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for message in 0..count {
            receive(&to_child.0, message * 2);
            send(&to_parent.1, message * 2 + 1);
        }
        std::process::exit(0);
    }
    for message in 0..count {
        send(&to_child.1, message * 2);
        receive(&to_parent.0, message * 2 + 1);
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(child, &mut status, 0) };
}

fn send(mut pipe: &File, message: u64) {
    ringscope::instant!("send", message);
    pipe.write_all(&message.to_le_bytes())
        .expect("the pipe is open");
}

fn receive(mut pipe: &File, expected: u64) {
    let mut bytes = [0; 8];
    pipe.read_exact(&mut bytes).expect("the pipe is open");
    let message = u64::from_le_bytes(bytes);
    ringscope::instant!("receive", message);
    assert_eq!(message, expected);
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the array is live; each end is owned by one File.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}
