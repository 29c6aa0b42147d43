//! What is measured of a run, and what it comes to.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spans::Shape;
use crate::{start, start_with};

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
    /// A table is made of a run.
    Stats,
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
    pub(crate) ns_per_event: f64,
    /// Speed per thread as a part of the floor's; for the file: wall time against decode and bare writes together.
    pub(crate) ratio: f64,
    pub(crate) private_mib: f64,
    /// Bytes of the output, where it went to a file.
    pub(crate) bytes: u64,
}

/// The figures of one run.
pub(crate) fn of_shape(
    shape: Shape,
    spans: u64,
    rounds: usize,
    dir: &Path,
) -> Result<Vec<Figure>, String> {
    let runs = dir.join("runs");
    let runs_text = runs.to_string_lossy().into_owned();
    start_with(&["record", shape.name(), &spans.to_string(), &runs_text])?;
    let measuring = Measuring {
        shape,
        spans,
        rounds,
        run: runs_text,
        file: dir.join("trace.json").to_string_lossy().into_owned(),
    };
    let mut figures = measuring.to_null()?;
    figures.extend(measuring.to_file()?);
    fs::remove_dir_all(&runs).map_err(|error| format!("remove: {}: {error}", runs.display()))?;
    Ok(figures)
}

struct Measuring {
    shape: Shape,
    spans: u64,
    rounds: usize,
    run: String,
    file: String,
}

/// What goes to /dev/null.
const TO_NULL: [(&str, What, usize); 7] = [
    ("floor", What::Floor, 1),
    ("by lane", What::Decode(By::Lane), 1),
    ("by lane", What::Decode(By::Lane), 2),
    ("by time", What::Decode(By::Time), 1),
    ("by time", What::Decode(By::Time), 2),
    ("stats", What::Stats, 1),
    ("stats", What::Stats, 2),
];

impl Measuring {
    fn task(&self, what: What, threads: usize, out: &str) -> Task {
        Task {
            what,
            amount: self.spans,
            threads,
            run: self.run.clone(),
            out: out.to_owned(),
        }
    }

    fn measure(&self, task: &Task) -> Result<Measured, String> {
        let output = start(task)?;
        serde_json::from_slice(&output).map_err(|error| format!("figure: {error}"))
    }

    fn to_null(&self) -> Result<Vec<Figure>, String> {
        let mut rounds: Vec<Vec<Measured>> = vec![Vec::new(); TO_NULL.len()];
        for _ in 0..self.rounds {
            for ((_, what, threads), measured) in TO_NULL.iter().zip(&mut rounds) {
                let task = self.task(*what, *threads, "/dev/null");
                measured.push(self.measure(&task)?);
            }
        }
        let floors: Vec<f64> = rounds[0].iter().map(ns_per_event).collect();
        let figures = TO_NULL.iter().zip(&rounds);
        Ok(figures
            .map(|((name, _, threads), measured)| {
                let ratios = measured.iter().zip(&floors);
                let ratio = median(
                    ratios.map(|(one, floor)| floor / (ns_per_event(one) * *threads as f64)),
                );
                self.figure(name, *threads, measured, ratio)
            })
            .collect())
    }

    /// Into a file whose pages are there already, beside bare writes of as many bytes.
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
            let ratio = median(ratios.into_iter());
            figures.push(self.figure("by time, to a file", threads, &measured, ratio));
        }
        fs::remove_file(&self.file).map_err(|error| format!("remove: {}: {error}", self.file))?;
        Ok(figures)
    }

    fn figure(&self, what: &str, threads: usize, rounds: &[Measured], ratio: f64) -> Figure {
        let private_kib = rounds.iter().map(|one| one.private_kib).max().unwrap_or(0);
        Figure {
            shape: self.shape.name(),
            what: what.to_owned(),
            threads,
            seconds: median(rounds.iter().map(|one| one.seconds)),
            ns_per_event: median(rounds.iter().map(ns_per_event)),
            ratio,
            private_mib: private_kib as f64 / 1024.0,
            bytes: rounds.first().map_or(0, |one| one.bytes),
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
