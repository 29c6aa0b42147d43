//! What is measured of a run, and what it comes to.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spans::Shape;
use crate::{device, start, start_with};

/// One thing to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) what: What,
    /// Events to format, or bytes to write.
    pub(crate) amount: u64,
    pub(crate) threads: usize,
    /// Directory of the run.
    pub(crate) run: String,
    /// File that is written to.
    pub(crate) out: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// Text is formatted from records in memory.
    Floor,
    /// As many bytes are written as the decoder writes.
    Write,
    /// A run is decoded into Chrome JSON.
    Decode(By),
    /// The same, by time into a pipe, whose bytes are counted.
    Pipe,
    /// The same, compressed at level 1.
    DecodeGzip,
    /// A run is decoded into Perfetto's format, by time.
    Perfetto,
    /// A table is made of a run.
    Stats,
    /// Kernels, streams and steps are made of a run.
    Launches,
    /// A trace is compressed at level 1 by one deflate in one piece.
    Deflate,
    /// The same by several threads.
    Gzip,
}

/// Order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    Time,
    Lane,
}

impl From<By> for ringscope_decode::Order {
    fn from(by: By) -> ringscope_decode::Order {
        match by {
            By::Time => ringscope_decode::Order::Time,
            By::Lane => ringscope_decode::Order::Lane,
        }
    }
}

/// What a process measured of itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Largest private memory, KiB.
    pub(crate) private_kib: u64,
}

/// What is reported.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) shape: &'static str,
    pub(crate) what: String,
    pub(crate) threads: usize,
    /// Wall time, median of the rounds.
    pub(crate) seconds: f64,
    /// `None` for what has no events.
    pub(crate) ns_per_event: Option<f64>,
    /// What the measured value is a multiple of.
    pub(crate) ratio: f64,
    pub(crate) ratio_of: RatioOf,
    /// What the ratio shall be.
    pub(crate) wanted: Option<Bound>,
    pub(crate) private_mib: f64,
    /// Bytes of the output, where they were counted.
    pub(crate) bytes: u64,
    pub(crate) bytes_per_event: Option<f64>,
}

/// What a ratio compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RatioOf {
    /// Speed per thread, with that of the floor formatter.
    FloorSpeed,
    /// Time, with that of decoding to /dev/null and of bare writes together.
    NullAndWriteTime,
    /// Time, with ten times that of a tenth of the records.
    TenTenthsTime,
    /// Speed, with that of one deflate on one thread.
    DeflateSpeed,
}

/// What a ratio shall be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// The figures of one run.
pub(crate) fn of_shape(
    shape: Shape,
    amount: u64,
    rounds: usize,
    dir: &Path,
) -> Result<Vec<Figure>, String> {
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let measuring = Measuring {
        shape,
        events: match shape {
            Shape::Device => amount * device::RANKS * device::TASKS_PER_STEP,
            Shape::Rings4 | Shape::Rings64 | Shape::Asyncio => amount,
        },
        rounds,
        run: path("runs"),
        tenth_run: path("tenth"),
        file: path("trace.json"),
    };
    let record = |amount: u64, run: &str| {
        start_with(&["record", shape.name(), &amount.to_string(), run]).map(drop)
    };
    let tenth = (amount / 10).max(1);
    record(amount, &measuring.run)?;
    record(tenth, &measuring.tenth_run)?;
    if shape == Shape::Device {
        let mut figures = measuring.to_null(&DEVICE_TO_NULL)?;
        for part in DEVICE_TENTHS {
            figures.push(measuring.ten_tenths(part)?);
        }
        return Ok(figures);
    }
    let mut figures = measuring.to_null(&TO_NULL)?;
    figures.push(measuring.ten_tenths(BY_TIME)?);
    figures.extend(measuring.to_file()?);
    Ok(figures)
}

struct Measuring {
    shape: Shape,
    /// Spans or device tasks of the run.
    events: u64,
    rounds: usize,
    run: String,
    /// A run with a tenth of the spans.
    tenth_run: String,
    file: String,
}

/// A line of the table: its words, what is done, threads.
type Line = (&'static str, What, usize);
const BY_TIME: Line = ("by time", What::Decode(By::Time), 1);

/// What goes to /dev/null.
const TO_NULL: [Line; 9] = [
    ("floor", What::Floor, 1),
    ("by lane", What::Decode(By::Lane), 1),
    ("by lane", What::Decode(By::Lane), 2),
    BY_TIME,
    ("by time", What::Decode(By::Time), 2),
    ("protobuf, by time", What::Perfetto, 1),
    ("protobuf, by time", What::Perfetto, 2),
    ("stats", What::Stats, 1),
    ("stats", What::Stats, 2),
];
/// The same of a run of devices.
const DEVICE_TO_NULL: [Line; 12] = [
    ("floor", What::Floor, 1),
    ("by lane", What::Decode(By::Lane), 1),
    ("by lane", What::Decode(By::Lane), 2),
    BY_TIME,
    ("by time", What::Decode(By::Time), 2),
    ("by time, into a pipe", What::Pipe, 2),
    ("by time, .gz", What::DecodeGzip, 2),
    ("protobuf, by time", What::Perfetto, 1),
    ("protobuf, by time", What::Perfetto, 2),
    ("stats", What::Stats, 1),
    ("stats", What::Stats, 2),
    LAUNCHES,
];
const LAUNCHES: Line = ("stats --launches", What::Launches, 1);
/// What is compared with a tenth of the records of devices.
const DEVICE_TENTHS: [Line; 4] = [
    BY_TIME,
    ("protobuf, by time", What::Perfetto, 1),
    ("stats", What::Stats, 1),
    LAUNCHES,
];
/// Bytes of a trace that are compressed, at most.
const MAX_COMPRESSED: u64 = 512 << 20;

impl Measuring {
    fn task(&self, what: What, threads: usize, out: &str) -> Task {
        Task {
            what,
            amount: self.events,
            threads,
            run: self.run.clone(),
            out: out.to_owned(),
        }
    }

    fn measure(&self, task: &Task) -> Result<Measured, String> {
        let output = start(task)?;
        serde_json::from_slice(&output).map_err(|error| format!("figure: {error}"))
    }

    fn to_null(&self, lines: &[Line]) -> Result<Vec<Figure>, String> {
        let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); lines.len()];
        for _ in 0..self.rounds {
            for ((_, what, threads), measured) in lines.iter().zip(&mut rounds) {
                let task = self.task(*what, *threads, "/dev/null");
                measured.push(self.measure(&task)?);
            }
        }
        let floors: Vec<f64> = rounds[0].iter().map(ns_per_event).collect();
        let figures = lines.iter().zip(&rounds);
        Ok(figures
            .map(|((name, what, threads), measured)| {
                let ratios = measured.iter().zip(&floors);
                let ratio = median(
                    ratios.map(|(one, floor)| floor / (ns_per_event(one) * *threads as f64)),
                );
                let wanted = self.wanted(*what, *threads).map(Bound::AtLeast);
                let ratio = (RatioOf::FloorSpeed, ratio, wanted);
                self.figure(name, *threads, measured, ratio)
            })
            .collect())
    }

    /// The part of the floor's speed that a thread shall have.
    fn wanted(&self, what: What, threads: usize) -> Option<f64> {
        match (what, self.shape) {
            (_, Shape::Device) => None,
            (What::Decode(By::Time), Shape::Asyncio) => Some(0.15),
            (What::Decode(By::Time), _) => Some(if threads == 1 { 0.4 } else { 0.35 }),
            (What::Decode(By::Lane), Shape::Rings4 | Shape::Rings64) => Some(0.7),
            (What::Perfetto, Shape::Rings4 | Shape::Rings64) => Some(0.25),
            _ => None,
        }
    }

    /// A line, beside that of a run with a tenth of the records.
    fn ten_tenths(&self, (name, what, threads): Line) -> Result<Figure, String> {
        let (mut measured, mut ratios) = (Vec::new(), Vec::new());
        let all = self.task(what, threads, "/dev/null");
        let tenth = Task {
            run: self.tenth_run.clone(),
            ..all.clone()
        };
        for _ in 0..self.rounds {
            let all = self.measure(&all)?;
            let tenth = self.measure(&tenth)?;
            ratios.push(ns_per_event(&all) / ns_per_event(&tenth));
            measured.push(tenth);
        }
        let wanted = Some(Bound::AtMost(1.1));
        let ratio = (RatioOf::TenTenthsTime, median(ratios.into_iter()), wanted);
        let name = format!("{name}, a tenth of the records");
        Ok(self.figure(&name, threads, &measured, ratio))
    }

    /// Into a file whose pages are there already, beside bare writes of as many bytes; then that file is compressed.
    fn to_file(&self) -> Result<Vec<Figure>, String> {
        fs::write(&self.file, b"").map_err(|error| format!("create: {}: {error}", self.file))?;
        let mut figures = Vec::new();
        let order = What::Decode(By::Time);
        self.measure(&self.task(order, 2, &self.file))?;
        let bytes = fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        for threads in [1, 2] {
            let (mut measured, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                let null = self.measure(&self.task(order, threads, "/dev/null"))?;
                let bare = self.measure(&Task {
                    amount: bytes,
                    ..self.task(What::Write, threads, &self.file)
                })?;
                let mut file = self.measure(&self.task(order, threads, &self.file))?;
                file.bytes = bytes;
                ratios.push(file.seconds / (null.seconds + bare.seconds));
                measured.push(file);
            }
            let wanted = Some(Bound::AtMost(1.2));
            let ratio = (
                RatioOf::NullAndWriteTime,
                median(ratios.into_iter()),
                wanted,
            );
            figures.push(self.figure("by time, to a file", threads, &measured, ratio));
        }
        figures.extend(self.compressed(bytes)?);
        fs::remove_file(&self.file).map_err(|error| format!("remove: {}: {error}", self.file))?;
        Ok(figures)
    }

    /// The file compressed at level 1, by one deflate and by two threads.
    fn compressed(&self, bytes: u64) -> Result<Vec<Figure>, String> {
        let task = |what, threads| Task {
            amount: bytes.min(MAX_COMPRESSED),
            ..self.task(what, threads, &self.file)
        };
        let (mut ones, mut twos) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            ones.push(self.measure(&task(What::Deflate, 1))?);
            twos.push(self.measure(&task(What::Gzip, 2))?);
        }
        let pairs = ones.iter().zip(&twos);
        let ratio = median(pairs.map(|(one, two)| one.seconds / two.seconds));
        let kind = RatioOf::DeflateSpeed;
        let wanted = Some(Bound::AtLeast(1.7));
        Ok(vec![
            self.figure("one deflate, level 1", 1, &ones, (kind, 1.0, None)),
            self.figure(".gz, level 1", 2, &twos, (kind, ratio, wanted)),
        ])
    }

    fn figure(
        &self,
        what: &str,
        threads: usize,
        rounds: &[Measured],
        (ratio_of, ratio, wanted): (RatioOf, f64, Option<Bound>),
    ) -> Figure {
        let private_kib = rounds.iter().map(|one| one.private_kib).max().unwrap_or(0);
        let first = rounds.first();
        let has_events = first.is_some_and(|one| one.events > 0);
        Figure {
            shape: self.shape.name(),
            what: what.to_owned(),
            threads,
            seconds: median(rounds.iter().map(|one| one.seconds)),
            ns_per_event: has_events.then(|| median(rounds.iter().map(ns_per_event))),
            ratio,
            ratio_of,
            wanted,
            private_mib: private_kib as f64 / 1024.0,
            bytes: first.map_or(0, |one| one.bytes),
            bytes_per_event: first
                .filter(|one| has_events && one.bytes > 0)
                .map(|one| one.bytes as f64 / one.events as f64),
        }
    }
}

fn ns_per_event(measured: &Measured) -> f64 {
    measured.seconds * 1e9 / measured.events.max(1) as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
