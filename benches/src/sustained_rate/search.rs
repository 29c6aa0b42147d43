//! The search for the highest rate without loss, ring size by ring size.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use ringscope_benches::machine::Machine;
use ringscope_benches::scratch::Scratch;
use ringscope_ringbuf::setting::parse_size;
use serde::Serialize;

use crate::probe::{Probe, Prober};

/// The search ends when the rates in question are this close.
const PRECISION: f64 = 1.03;
/// Every machine is expected to save this many records a second.
const LOWEST_RATE: f64 = 0.5e6;
/// Where the search steps down when a rate fails once more, by this part.
const STEP_DOWN: f64 = 0.97;

/// What to search.
#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The `ringscope` program [default: the one beside this program]
    #[arg(long, value_name = "PROGRAM")]
    ringscope: Option<PathBuf>,
    /// Sizes of the ring
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = ring_size)]
    #[arg(default_value = "1MiB,16MiB")]
    ring_size: Vec<u64>,
    /// Seconds that the program records for, each time
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Try these rates alone, in million records a second
    #[arg(long, value_name = "M", value_delimiter = ',')]
    rate: Vec<f64>,
    /// How often the rate found must do without loss
    #[arg(long, value_name = "N", default_value_t = 3)]
    confirm: u32,
    /// Directory for runs; what is written there is removed again
    #[arg(long, default_value = "/dev/shm")]
    dir: PathBuf,
    /// Write the figures to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a ring size came to.
#[derive(Debug, Serialize)]
struct Outcome {
    ring_bytes: u64,
    /// The highest rate without loss, as it came out.
    sustained_rate: Option<f64>,
    /// As fast as it goes.
    full_speed: Probe,
    probes: Vec<Probe>,
}

#[derive(Debug, Serialize)]
struct Report {
    benchmark: &'static str,
    machine: Machine,
    seconds: f64,
    rings: Vec<Outcome>,
}

impl Search {
    /// Searches, prints the table and writes the JSON.
    pub(crate) fn run(&self) -> Result<(), String> {
        let machine = Machine::this();
        println!("{machine}");
        let ringscope = self.ringscope()?;
        let scratch = Scratch::new(&self.dir)?;
        let mut rings = Vec::new();
        for ring_bytes in &self.ring_size {
            let prober = Prober {
                ringscope: &ringscope,
                ring_bytes: *ring_bytes,
                seconds: self.seconds,
                scratch: &scratch,
            };
            println!("\nring of {} KiB", ring_bytes >> 10);
            let outcome = if self.rate.is_empty() {
                self.search(&prober)?
            } else {
                self.try_rates(&prober)?
            };
            if let Some(rate) = outcome.sustained_rate {
                println!("sustained without loss: {:.1} M records/s", rate / 1e6);
            }
            rings.push(outcome);
        }
        let Some(path) = &self.json else {
            return Ok(());
        };
        let report = Report {
            benchmark: "sustained_rate",
            machine,
            seconds: self.seconds,
            rings,
        };
        let failed = |why: &dyn fmt::Display| format!("write: {}: {why}", path.display());
        let text = serde_json::to_string_pretty(&report).map_err(|error| failed(&error))?;
        fs::write(path, text).map_err(|error| failed(&error))
    }

    fn ringscope(&self) -> Result<PathBuf, String> {
        match &self.ringscope {
            Some(program) => Ok(program.clone()),
            None => Ok(ringscope_benches::kernel::this_program()?.with_file_name("ringscope")),
        }
    }

    fn try_rates(&self, prober: &Prober<'_>) -> Result<Outcome, String> {
        let mut probes = Vec::new();
        for rate in &self.rate {
            for _ in 0..self.confirm {
                probes.push(told(prober.probe(Some(rate * 1e6))?));
            }
        }
        Ok(Outcome {
            ring_bytes: prober.ring_bytes,
            sustained_rate: None,
            full_speed: told(prober.probe(None)?),
            probes,
        })
    }

    fn search(&self, prober: &Prober<'_>) -> Result<Outcome, String> {
        let full_speed = told(prober.probe(None)?);
        let mut probes = Vec::new();
        let mut probe = |rate: f64| -> Result<Probe, String> {
            let probe = told(prober.probe(Some(rate))?);
            probes.push(probe);
            Ok(probe)
        };
        let (mut good, mut bad) = (LOWEST_RATE, full_speed.rate);
        while bad / good > PRECISION {
            let rate = (good * bad).sqrt();
            match probe(rate)?.lost {
                0 => good = rate,
                _ => bad = rate,
            }
        }
        let mut sustained_rate = None;
        while sustained_rate.is_none() && good > LOWEST_RATE {
            let mut slowest = f64::INFINITY;
            let mut times = 0;
            while times < self.confirm {
                let again = probe(good)?;
                if again.lost > 0 {
                    break;
                }
                slowest = slowest.min(again.rate);
                times += 1;
            }
            if times == self.confirm {
                sustained_rate = Some(slowest);
            }
            good *= STEP_DOWN;
        }
        Ok(Outcome {
            ring_bytes: prober.ring_bytes,
            sustained_rate,
            full_speed,
            probes,
        })
    }
}

/// Prints a probe, as it comes.
fn told(probe: Probe) -> Probe {
    println!("{probe}");
    probe
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked_rate {
            Some(rate) => write!(f, "asked {:6.2} M/s", rate / 1e6)?,
            None => f.write_str("at full speed  ")?,
        }
        write!(
            f,
            ", came to {:6.2} M/s: {} of {} records lost, behind by {} KiB at most",
            self.rate / 1e6,
            self.lost,
            self.records,
            self.high_water_bytes >> 10
        )?;
        match self.wanted_ring_bytes {
            0 => Ok(()),
            wanted => write!(f, "; a ring of {} KiB would have done", wanted >> 10),
        }
    }
}

/// Reads a ring's size. The recorder makes none below 16 KiB, and would round others up.
fn ring_size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|bytes| bytes.is_power_of_two() && (16 << 10..=1 << 30).contains(bytes))
        .ok_or_else(|| "expected a power of two from 16KiB to 1GiB".to_string())
}
