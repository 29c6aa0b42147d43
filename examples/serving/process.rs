//! Processes and threads: forking the workers, waiting for their end, and the sudden end of one.

use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread::{self, JoinHandle};

use crate::error::Error;

/// The part that fell to this process after [`fork_workers`].
pub(crate) enum Role {
    /// This is the engine; these are its workers.
    Engine(Vec<ForkedWorker>),
    /// This is worker `index`, connected to the engine.
    Worker { index: usize, engine: UnixStream },
}

/// A worker process as the engine sees it.
pub(crate) struct ForkedWorker {
    /// Position among the workers, from 0.
    pub(crate) index: usize,
    /// Its process id.
    pub(crate) pid: libc::pid_t,
    /// The connection to it; reads end when the worker has ended.
    pub(crate) stream: UnixStream,
}

/// Forks `count` workers, each connected to the engine by a socket pair. To be called before any thread exists.
pub(crate) fn fork_workers(count: usize) -> Result<Role, Error> {
    let mut workers = Vec::with_capacity(count);
    for index in 0..count {
        let failed = |why| Error::new("cannot start", format!("worker {index}"), why);
        let (engine_end, worker_end) = UnixStream::pair().map_err(failed)?;
        // SAFETY: the caller has created no thread yet, so no lock can be held by a thread that the child lacks, and
        // the child may go on like any process.
        match unsafe { libc::fork() } {
            -1 => return Err(failed(io::Error::last_os_error())),
            // Returning closes this child's copies of the engine's ends, so that every worker sees the engine's end.
            0 => {
                return Ok(Role::Worker {
                    index,
                    engine: worker_end,
                });
            }
            pid => workers.push(ForkedWorker {
                index,
                pid,
                stream: engine_end,
            }),
        }
    }
    Ok(Role::Engine(workers))
}

/// Waits until child process `pid` has ended, and returns how it did.
pub(crate) fn wait(pid: libc::pid_t) -> Result<ExitStatus, Error> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a live integer that waitpid may write.
        if unsafe { libc::waitpid(pid, &mut status, 0) } == pid {
            return Ok(ExitStatus::from_raw(status));
        }
        let why = io::Error::last_os_error();
        if why.kind() != io::ErrorKind::Interrupted {
            return Err(Error::new(
                "cannot wait for a worker",
                format!("process {pid}"),
                why,
            ));
        }
    }
}

/// Ends this process at once with SIGKILL: no destructor runs, no buffer is written.
pub(crate) fn kill_this_process() -> ! {
    // SAFETY: sending a signal to the own process touches no memory.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    // SIGKILL ends the process before kill returns; abort stands here for the compiler.
    std::process::abort()
}

/// Starts a thread with a name that both the system and the profiler know.
pub(crate) fn spawn_thread<T: Send + 'static>(
    name: String,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let place = name.clone();
    thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            ringscope::set_thread_name(&name);
            body()
        })
        .map_err(|why| Error::new("cannot start a thread", place, why))
}

/// What a thread returned; a panic in it becomes an error.
pub(crate) fn join_thread<T>(name: &str, thread: JoinHandle<T>) -> Result<T, Error> {
    thread
        .join()
        .map_err(|_| Error::new("a thread ended early", name, "it panicked"))
}
