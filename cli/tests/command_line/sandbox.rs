//! A directory of its own for each test, and the programs that run in it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

/// Names of the variables that steer ringscope: none of the test's own environment may leak in.
const VARIABLES: [&str; 7] = [
    "RINGSCOPE_DIR",
    "RINGSCOPE_RUN",
    "RINGSCOPE_LEVEL",
    "RINGSCOPE_MODE",
    "RINGSCOPE_RING_SIZE",
    "RINGSCOPE_MAX_SIZE",
    "RINGSCOPE_LOG",
];

/// A temporary directory that holds the runs and the output of one test.
pub(crate) struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let shm = Path::new("/dev/shm");
        let directory = match tempfile::tempdir_in(shm) {
            Ok(directory) => directory,
            Err(_) => tempfile::tempdir().unwrap(),
        };
        Sandbox { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `ringscope` with these arguments, to be run in the sandbox.
    pub(crate) fn ringscope<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(
        &self,
        args: I,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringscope"));
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
            .args(args)
            .current_dir(self.directory.path())
            .env("RINGSCOPE_DIR", self.path("runs"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `ringscope` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Outcome::from(self.ringscope(args).output().unwrap())
    }

    /// Runs a shell script with the environment that `ringscope` gets, to its end.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        let mut command = Command::new("sh");
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
            .args(["-c", script])
            .current_dir(self.directory.path())
            .env("RINGSCOPE_DIR", self.path("runs"));
        Outcome::from(command.output().unwrap())
    }

    /// Runs `ringscope record OPTIONS -- scripted STEPS` to its end.
    pub(crate) fn record(&self, options: &[&str], steps: &[&str]) -> Outcome {
        Outcome::from(self.recording(options, steps).output().unwrap())
    }

    fn recording(&self, options: &[&str], steps: &[&str]) -> Command {
        let scripted = scripted();
        let mut args = vec!["record"];
        args.extend(options);
        args.extend(["--", &scripted]);
        args.extend(steps);
        self.ringscope(args)
    }

    /// Starts the same and waits for the program's first line.
    pub(crate) fn start(&self, options: &[&str], steps: &[&str]) -> Running {
        Sandbox::spawn(self.recording(options, steps))
    }

    /// The same on a terminal of its own.
    pub(crate) fn start_on_terminal(
        &self,
        options: &[&str],
        steps: &[&str],
    ) -> (Running, Terminal) {
        let terminal = Terminal::new();
        let screen = terminal.screen.as_raw_fd();
        let mut command = self.recording(options, steps);
        // SAFETY: the closure makes two async-signal-safe calls on a descriptor that is open until
        // the child runs.
        unsafe {
            command.pre_exec(move || {
                libc::setsid();
                match libc::ioctl(screen, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        (Sandbox::spawn(command), terminal)
    }

    fn spawn(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut running = Running {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        running.line();
        running
    }

    /// Copies a built file here. By a process of its own: a descriptor of this one that is open for writing would be inherited by
    /// programs that other tests start meanwhile, and what anybody may write to can't be run.
    pub(crate) fn copy(&self, built: &Path, name: &str) {
        let to = self.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let copied = Command::new("cp").arg(built).arg(&to).status().unwrap();
        assert!(copied.success(), "{}: {copied}", to.display());
    }

    /// The run directories there are.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        match fs::read_dir(self.path("runs")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// The only run directory.
    pub(crate) fn only_run(&self) -> PathBuf {
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.into_iter().next().unwrap()
    }

    /// Names of the files in the sandbox itself.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "runs")
            .collect();
        names.sort();
        names
    }
}

/// A terminal with nobody before it but the test.
pub(crate) struct Terminal {
    keyboard: File,
    /// Kept open: a terminal that no program has open is gone.
    screen: OwnedFd,
}

impl Terminal {
    fn new() -> Terminal {
        let (mut keyboard, mut screen) = (-1, -1);
        let null = std::ptr::null_mut();
        // SAFETY: two live integers are filled in with descriptors that nobody else knows.
        unsafe {
            let made = libc::openpty(&mut keyboard, &mut screen, null, null.cast(), null.cast());
            assert_eq!(made, 0, "{}", io::Error::last_os_error());
            for fd in [keyboard, screen] {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            Terminal {
                keyboard: File::from_raw_fd(keyboard),
                screen: OwnedFd::from_raw_fd(screen),
            }
        }
    }

    /// Types Ctrl-C and waits for its echo, which the terminal gives after it has sent the signal.
    pub(crate) fn type_interrupt(&mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
        let mut echo = [0; 2];
        self.keyboard.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"^C");
    }
}

/// The example `scripted`, which cargo builds beside the binary.
pub(crate) fn scripted() -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_ringscope"));
    let path = binary.with_file_name("examples").join("scripted");
    assert!(
        path.exists(),
        "{}: not built; run `cargo build --example scripted`",
        path.display()
    );
    path.to_str().unwrap().to_owned()
}

/// A recording under way.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// The program's next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets the program go on from its step `line`, and waits for the end.
    pub(crate) fn finish(mut self) -> Outcome {
        drop(self.stdin.take());
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Outcome {
            stdout,
            ..Outcome::from(output)
        }
    }

    /// The program's standard input: it goes on from its step `line` when this is dropped.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for the end of `ringscope record` alone, while a child of the program holds the pipes open.
    pub(crate) fn wait_for_record(mut self) -> Outcome {
        let code = self.child.wait().unwrap().code();
        let mut stderr = String::new();
        let mut lines = BufReader::new(self.child.stderr.take().unwrap());
        let is_last = |stderr: &str| stderr.contains("\nkept  ") || stderr.contains("\nremoved  ");
        while !is_last(&stderr) && lines.read_line(&mut stderr).unwrap() > 0 {}
        Outcome {
            code,
            stdout: String::new(),
            stderr,
        }
    }

    /// Sends a signal to `ringscope record`.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: kill takes two integers; the child has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Outcome {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that standard error says something.
    #[track_caller]
    pub(crate) fn expect_stderr(self, text: &str) -> Outcome {
        assert!(self.stderr.contains(text), "expected {text:?}: {self:#?}");
        self
    }

    /// Asserts that standard output says something.
    #[track_caller]
    pub(crate) fn expect_stdout(self, text: &str) -> Outcome {
        assert!(self.stdout.contains(text), "expected {text:?}: {self:#?}");
        self
    }
}
