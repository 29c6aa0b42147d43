//! What this program does when it has started itself once more, for one configuration.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use clap::{Args, ValueEnum};
use ringscope::{Config, Level};
use ringscope_benches::case::Subject;
use ringscope_benches::floor::{Floor, Loop};
use ringscope_benches::instructions::callgrind_dump;
use ringscope_benches::kernel::{allowed_cores, this_program};
use ringscope_benches::measurement::{Measurement, summarise};
use ringscope_benches::rounds::{Plan, StartLine, WARM_UP_CALLS, measure, on_threads};
use ringscope_benches::system_calls::{self, mark_begin, mark_end};
use ringscope_ringbuf::file::{FileKind, FileName, RingFile};
use ringscope_ringbuf::layout::RECORD_LEN;
use ringscope_ringbuf::sys;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bare_record::BareRecord;
use crate::cases;
use crate::configuration::Configuration;
use crate::foreign;

/// The passes: each in processes of its own, so that none disturbs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pass {
    /// Measures
    Measure,
    /// Counts the system calls of the next pass
    Trace,
    /// Makes calls between marks
    Traced,
    /// Makes calls for callgrind to count
    Callgrind,
}

/// What a pass needs to know.
#[derive(Clone, Debug, Args)]
pub(crate) struct PassArgs {
    /// What to do
    pub(crate) pass: Pass,
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    #[command(flatten)]
    pub(crate) plan: Plan,
    /// Directory for runs and rings
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// File for the outcome
    #[arg(long)]
    pub(crate) outcome: PathBuf,
}

/// Outcome of [`Pass::Measure`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The run that the records are in.
    pub(crate) run: PathBuf,
    /// Ticks of the counter per ns.
    pub(crate) ticks_per_ns: f64,
    /// Turns of a step of work.
    pub(crate) work_turns: u32,
    /// The figures.
    pub(crate) measurements: Vec<Measurement>,
}

impl PassArgs {
    /// The command line that does this pass.
    pub(crate) fn command_line(&self) -> Result<Vec<OsString>, String> {
        let capture = self.configuration.capture.to_possible_value();
        let capture = capture.map_or(String::new(), |value| value.get_name().to_string());
        let pass = self.pass.to_possible_value();
        let pass = pass.map_or(String::new(), |value| value.get_name().to_string());
        let mut line = vec![this_program()?.into_os_string(), "pass".into(), pass.into()];
        let mut option = |name: &str, value: &dyn AsRef<OsStr>| {
            line.extend([name.into(), value.as_ref().to_os_string()]);
        };
        option("--capture", &capture);
        option("--ring-bytes", &self.configuration.ring_bytes.to_string());
        option("--threads", &self.configuration.threads.to_string());
        option("--rounds", &self.plan.rounds.to_string());
        option("--calls", &self.plan.calls.to_string());
        option("--samples", &self.plan.samples.to_string());
        option("--dir", &self.dir);
        option("--outcome", &self.outcome);
        Ok(line)
    }

    /// Reads the outcome of a pass.
    pub(crate) fn read_outcome<T: DeserializeOwned>(&self) -> Result<T, String> {
        let failed =
            |why: &dyn std::fmt::Display| format!("read: {}: {why}", self.outcome.display());
        let text = fs::read_to_string(&self.outcome).map_err(|error| failed(&error))?;
        serde_json::from_str(&text).map_err(|error| failed(&error))
    }

    fn write_outcome<T: Serialize>(&self, outcome: &T) -> Result<(), String> {
        let text =
            serde_json::to_string(outcome).map_err(|error| format!("write: outcome: {error}"))?;
        fs::write(&self.outcome, text)
            .map_err(|error| format!("write: {}: {error}", self.outcome.display()))
    }

    /// Does the pass.
    pub(crate) fn run(&self) -> Result<(), String> {
        match self.pass {
            Pass::Measure => self.measure(),
            Pass::Trace => self.trace(),
            Pass::Traced => self.in_every_case(&|index, subject| {
                mark_begin(index);
                subject.run(self.plan.calls);
                mark_end(index);
            }),
            Pass::Callgrind => self.in_every_case(&|_, subject| {
                callgrind_dump("between cases");
                subject.run(self.plan.calls);
                callgrind_dump(subject.name());
            }),
        }
    }

    fn measure(&self) -> Result<(), String> {
        let run = self.start_recording()?;
        let rounds = measure(&self.plan, self.configuration.threads, &|thread| {
            self.cast(&run, thread)
        })?;
        self.write_outcome(&Measured {
            ticks_per_ns: rounds.ticks_per_ns,
            work_turns: rounds.work_turns,
            measurements: summarise(&rounds),
            run,
        })
    }

    fn trace(&self) -> Result<(), String> {
        let traced = PassArgs {
            pass: Pass::Traced,
            ..self.clone()
        };
        let line = traced.command_line()?;
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        self.write_outcome(&system_calls::count(command, CASE_LIMIT)?)
    }

    /// Warms every case up and gives it to `body`.
    fn in_every_case(&self, body: &(dyn Fn(usize, &mut dyn Subject) + Sync)) -> Result<(), String> {
        let run = self.start_recording()?;
        let cast = |thread| self.cast(&run, thread);
        let in_thread = |subjects: &mut [Box<dyn Subject>], line: &StartLine| {
            for (index, subject) in subjects.iter_mut().enumerate() {
                line.wait();
                subject.prepare();
                subject.run(WARM_UP_CALLS);
                line.wait();
                body(index, &mut **subject);
                line.wait();
                subject.finish();
            }
        };
        on_threads(
            &allowed_cores(),
            self.configuration.threads,
            &cast,
            &in_thread,
        )?;
        Ok(())
    }

    /// Begins to record; the run's directory.
    fn start_recording(&self) -> Result<PathBuf, String> {
        let config = Config::new()
            .dir(&self.dir)
            .level(Level::DEFAULT)
            .mode(self.configuration.capture.mode())
            .ring_size(self.configuration.ring_bytes)
            .max_size(u64::MAX);
        ringscope::init(config).map_err(|error| error.to_string())?;
        let run = ringscope::status().run;
        run.ok_or_else(|| "record: this process: it has no run".to_string())
    }

    /// The cases of a thread, made on it: the harness's own, the record alone, and those of the recorder.
    fn cast(&self, run: &Path, thread: usize) -> Result<Vec<Box<dyn Subject>>, String> {
        ringscope::prepare_thread();
        let bytes = self.configuration.ring_bytes;
        let ring = Rc::new(own_ring(run, bytes)?);
        let file = |what: &str| {
            self.dir
                .join(format!("{what}-{}-{thread}", sys::process_id()))
        };
        let mut subjects: Vec<Box<dyn Subject>> = vec![
            Box::new(Loop),
            Box::new(Floor::new(&file("floor"), bytes)?),
            Box::new(BareRecord::new(&file("bare-record"), bytes)?),
        ];
        subjects.extend(cases::all(&ring));
        subjects.extend(foreign::all(&ring)?);
        Ok(subjects)
    }
}

/// More cases than there are.
const CASE_LIMIT: usize = 64;

/// The ring of the calling thread in `run`; it must have the size that was asked for.
fn own_ring(run: &Path, ring_bytes: u64) -> Result<RingFile, String> {
    let failed = |why: &dyn std::fmt::Display| format!("find ring: {}: {why}", run.display());
    for entry in fs::read_dir(run).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let name = entry.file_name().to_str().and_then(FileName::parse);
        if !name.is_some_and(|name| name.kind == FileKind::Ring && name.pid == sys::process_id()) {
            continue;
        }
        // One that can't be read is another thread's, which is just making it.
        let Ok(ring) = RingFile::open(&entry.path()) else {
            continue;
        };
        if ring.header.tid.get() != sys::thread_id() {
            continue;
        }
        let found = ring.capacity() * RECORD_LEN as u64;
        if found != ring_bytes {
            return Err(failed(&format!(
                "expected {ring_bytes} bytes of records, found {found}"
            )));
        }
        return Ok(ring);
    }
    Err(failed(&"expected one of this thread, found none"))
}
