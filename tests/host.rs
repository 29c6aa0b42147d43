//! The writer in its mode `steps`: a host that waits between two steps, while a test changes the world around it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::programs::{Recorded, recorded_lines};

/// A host that is waiting.
#[derive(Debug)]
pub struct Host {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    said: String,
}

/// A host's end.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What each of its threads recorded.
    pub recorded: Vec<Recorded>,
    /// All of its standard output.
    pub said: String,
    /// All of its standard error.
    pub complained: String,
}

impl Host {
    /// Starts it; `command` is the writer with its environment.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(mut command: Command) -> Host {
        let mut child = command
            .arg("steps")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the host starts");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Host {
            child,
            input: input.expect("the input is a pipe"),
            output: BufReader::new(output.expect("the output is a pipe")),
            said: String::new(),
        }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do a step, and waits until it is done.
    ///
    /// # Panics
    ///
    /// When it ended instead.
    pub fn step(&mut self, step: &str) {
        writeln!(self.input, "{step}").expect("the host reads its input");
        let done = format!("done {step}\n");
        loop {
            let before = self.said.len();
            let read = self.output.read_line(&mut self.said);
            assert!(
                read.is_ok_and(|len| len > 0),
                "the host ended at {step}: {}",
                self.said
            );
            if self.said[before..] == done {
                return;
            }
        }
    }

    /// Has it end.
    ///
    /// # Panics
    ///
    /// When it can't be waited for.
    pub fn end(mut self) -> Ended {
        drop(self.input);
        let mut rest = String::new();
        while self.output.read_line(&mut rest).is_ok_and(|len| len > 0) {}
        let said = self.said + &rest;
        let output = self.child.wait_with_output();
        let output = output.expect("the host is ours to wait for");
        Ended {
            status: output.status,
            recorded: recorded_lines(&said),
            said,
            complained: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// # Panics
    ///
    /// When the host did not end as it does where nothing is recorded.
    pub fn assert_unharmed(&self) {
        assert_eq!(self.status.code(), Some(7), "{self:?}");
        assert_eq!(self.complained, "done\n", "{self:?}");
    }
}
