//! The supervisor's loop: one thread that waits, drains, and sees processes come and go.

use std::collections::HashSet;
use std::fs;
use std::hint;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use ringscope_ringbuf::file::{FileKind, FileName};

use super::child::{Program, ProgramEnd};
use super::drain::{Drain, DrainedRing};
use super::footing::Footing;
use super::processes::{Processes, Watched};
use super::run_dir::RunDirectory;
use super::schedule::Schedule;
use super::supervisor::Supervisor;
use crate::failure::Failure;
use crate::kernel::{self, DirectoryWatch, Signal, Signals};

/// About once a second is enough: clocks drift by less than 1 us in between.
const PAIR_INTERVAL: Duration = Duration::from_secs(1);
/// Without a directory watch the run directory is read this often.
const SCAN_INTERVAL: Duration = Duration::from_millis(20);
/// Files that have appeared and have no whole header yet are looked at this often.
const UNFINISHED_INTERVAL: Duration = Duration::from_micros(200);
/// How long processes that outlive the program are waited for.
const LINGER: Duration = Duration::from_secs(2);
/// How long a file may lack a sound header before it is given up: its writer died while making it.
const HEADER_PATIENCE: Duration = Duration::from_secs(2);

/// How a recording ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The supervisor's files, still open: the run counts as alive until it is decoded.
    pub(crate) supervisor: Supervisor,
    /// The end of the program.
    pub(crate) end: ProgramEnd,
    /// The program's process id.
    pub(crate) pid: u32,
    /// True when a signal came after the program's end: there is no time for decoding.
    pub(crate) interrupted: bool,
    /// What went wrong on the way, one line each.
    pub(crate) notes: Vec<String>,
}

/// A file that has appeared and whose header is not written yet.
#[derive(Debug)]
struct Unfinished {
    name: FileName,
    seen: Instant,
}

/// What the supervisor watches.
#[derive(Debug)]
pub(crate) struct Watch {
    directory: RunDirectory,
    supervisor: Supervisor,
    drain: Drain,
    schedule: Schedule,
    program: Program,
    processes: Processes,
    appearing: Option<DirectoryWatch>,
    scanned: Instant,
    known: HashSet<FileName>,
    unfinished: Vec<Unfinished>,
    pair_taken: Instant,
    notes: Vec<String>,
    footing: Footing,
}

impl Watch {
    /// Watches the program that has just been started.
    pub(crate) fn new(
        directory: RunDirectory,
        supervisor: Supervisor,
        drain: Drain,
        schedule: Schedule,
        program: Program,
    ) -> Watch {
        let now = Instant::now();
        Watch {
            appearing: DirectoryWatch::new(&directory.path).ok(),
            directory,
            supervisor,
            drain,
            schedule,
            program,
            processes: Processes::default(),
            scanned: now,
            known: HashSet::new(),
            unfinished: Vec::new(),
            pair_taken: now,
            notes: Vec::new(),
            footing: Footing::new(),
        }
    }

    /// Watches until the program and the processes that recorded have ended.
    pub(crate) fn until_end(mut self, signals: &Signals) -> Result<Outcome, Failure> {
        self.scan();
        let end = loop {
            self.wait(&[signals.as_raw_fd(), self.program.as_raw_fd()]);
            while let Some(signal) = signals.next() {
                self.program.pass_on(signal);
            }
            self.step();
            if let Some(end) = self.program.end()? {
                break end;
            }
        };
        // What came until here was meant for the program, and may be why it ended.
        while signals.next().is_some() {}
        self.scan();
        self.note_end_of_program(&end);
        let interrupted = self.linger(signals);
        self.finish();
        Ok(Outcome {
            supervisor: self.supervisor,
            end,
            pid: self.program.pid(),
            interrupted,
            notes: self.notes,
        })
    }

    /// Waits for processes that outlive the program; true when a signal cut it short.
    fn linger(&mut self, signals: &Signals) -> bool {
        let deadline = Instant::now() + LINGER;
        self.step();
        while self.processes.living().next().is_some() && Instant::now() < deadline {
            self.wait(&[signals.as_raw_fd()]);
            if signals.next().is_some_and(Signal::asks_to_stop) {
                return true;
            }
            self.step();
        }
        false
    }

    /// Waits until something happens, to one of `descriptors` or to the run, or something is due.
    fn wait(&mut self, descriptors: &[RawFd]) {
        let mut fds = descriptors.to_vec();
        fds.extend(self.appearing.as_ref().map(DirectoryWatch::as_raw_fd));
        fds.extend(self.processes.descriptors());
        let mut sleep = self.drain.rest();
        if let Some(next) = self.schedule.next_change() {
            sleep = sleep.min(next);
        }
        if !self.unfinished.is_empty() {
            // A thread that has just made its ring saves it itself until it is told that somebody else does.
            sleep = sleep.min(UNFINISHED_INTERVAL);
        }
        let since = Instant::now();
        if self.footing.must_stay_awake(self.drain.slack()) {
            while !kernel::wait_readable(&fds, Duration::ZERO) && since.elapsed() < sleep {
                hint::spin_loop();
            }
            self.footing.stayed_awake();
        } else {
            kernel::wait_readable(&fds, sleep);
            self.footing.slept(since.elapsed().saturating_sub(sleep));
        }
        self.footing.look_around();
    }

    /// Everything that is due now, the drain first.
    fn step(&mut self) {
        self.drain.pass();
        let appeared = match &self.appearing {
            Some(watch) => watch.take_events(),
            None => self.scanned.elapsed() >= SCAN_INTERVAL,
        };
        if appeared {
            self.scan();
        }
        self.take_unfinished();
        self.take_ended();
        let living = self.processes.living().map(|process| &process.header);
        let notes = self.schedule.make_due_changes(living);
        self.notes.extend(notes);
        if self.pair_taken.elapsed() >= PAIR_INTERVAL {
            self.pair_taken = Instant::now();
            let written = self.supervisor.append_clock_pair();
            self.note(written);
        }
    }

    /// Notes a failure once: the recording goes on.
    fn note(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result
            && !self.notes.iter().any(|note| note == failure.line())
        {
            self.notes.push(failure.line().to_owned());
        }
    }

    /// Finds the files that have appeared in the run directory.
    fn scan(&mut self) {
        self.scanned = Instant::now();
        let Ok(entries) = fs::read_dir(&self.directory.path) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(FileName::parse) else {
                continue;
            };
            let matters = matches!(name.kind, FileKind::Process | FileKind::Ring);
            if matters && self.known.insert(name) {
                self.unfinished.push(Unfinished {
                    name,
                    seen: self.scanned,
                });
            }
        }
        self.take_unfinished();
    }

    /// Takes up the files that have a whole header by now.
    fn take_unfinished(&mut self) {
        for file in std::mem::take(&mut self.unfinished) {
            let taken = match file.name.kind {
                FileKind::Process => self.take_process(file.name),
                _ => self.take_ring(file.name),
            };
            match taken {
                Ok(()) => {}
                Err(_) if file.seen.elapsed() < HEADER_PATIENCE => self.unfinished.push(file),
                Err(why) => self.notes.push(why),
            }
        }
    }

    fn take_process(&mut self, name: FileName) -> Result<(), String> {
        let process =
            Watched::open(&self.directory.path, name).map_err(|error| error.to_string())?;
        if let Some(process) = process {
            self.notes.extend(self.schedule.catch_up(&process.header));
            self.processes.add(process);
        }
        Ok(())
    }

    fn take_ring(&mut self, name: FileName) -> Result<(), String> {
        let ring =
            DrainedRing::open(&self.directory.path, name).map_err(|error| error.to_string())?;
        if let Some(ring) = ring {
            self.drain.add(ring);
        }
        Ok(())
    }

    fn take_ended(&mut self) {
        for (nonce, exit) in self.processes.take_ended() {
            // A ring that appeared in the process's last moment is taken up before its process is let go.
            self.drain.process_ended(nonce);
            if let Some(exit) = exit {
                let written = self.supervisor.append(&exit);
                self.note(written);
            }
        }
    }

    fn note_end_of_program(&mut self, end: &ProgramEnd) {
        let (pid, status) = (self.program.pid(), end.status.into_raw());
        if let Some(exit) = self.processes.end_of_program(pid, end.start_time, status) {
            let written = self.supervisor.append(&exit);
            self.note(written);
        }
    }

    /// Writes what is known at the end.
    fn finish(&mut self) {
        self.drain.pass();
        for report in self.drain.finish().to_vec() {
            let written = self.supervisor.append(&report);
            self.note(written);
        }
        if let Some(why) = self.drain.stopped() {
            self.notes.push(format!("draining stopped: {why}"));
        }
        self.notes.append(&mut self.drain.failures);
        for note in self.notes.clone() {
            let text = note.as_bytes();
            let written = self
                .supervisor
                .append(&ringscope_ringbuf::block::Block::Message { text });
            self.note(written);
        }
        let written = self.supervisor.append_span_cost();
        self.note(written);
        let written = self.supervisor.append_clock_pair();
        self.note(written);
    }
}
