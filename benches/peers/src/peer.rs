//! The peers, and what stands beside each of them in every round.

use std::path::Path;

use clap::ValueEnum;
use ringscope_benches::case::Subject;
use ringscope_benches::floor::{Floor, Loop};
use ringscope_benches::rounds::Plan;

use crate::{clocks, fastrace, measureme, puffin, ringscope, tracing, tracing_chrome, tracy};

/// Bytes of the floor's ring.
const FLOOR_RING_BYTES: u64 = 1 << 20;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Ringscope,
    Fastrace,
    Puffin,
    Measureme,
    TracingWithoutSubscriber,
    TracingChrome,
    TracyClient,
    Clocks,
}

/// A peer that was set up in this process.
pub(crate) trait Troupe: Sync {
    /// Its cases, made on the thread that will run them.
    fn cases(&self) -> Vec<Box<dyn Subject>>;
}

impl Peer {
    /// All of them.
    pub(crate) fn all() -> Vec<Peer> {
        Peer::value_variants().to_vec()
    }

    /// Name in tables, JSON and options.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_string())
    }

    /// How it is set up here.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Peer::Ringscope => "flight mode, ring of 1 MiB",
            Peer::Fastrace => {
                "LocalSpan under a LocalCollector, whose spans are thrown away every 1,000"
            }
            Peer::Puffin => "scopes inside one that ends every 1,000; frames are thrown away",
            Peer::Measureme => "to a file in memory, wall clock",
            Peer::TracingWithoutSubscriber => "spans and events that nobody subscribes to",
            Peer::TracingChrome => "to a file in memory, written by the layer's own thread",
            Peer::TracyClient => "without a server: the queue grows in memory",
            Peer::Clocks => "two reads of a clock, nothing recorded",
        }
    }

    /// How much is measured: less of those that keep everything in memory or on its way to a file.
    pub(crate) fn plan(self) -> Plan {
        let calls = match self {
            Peer::TracingChrome => 2_000,
            Peer::TracyClient | Peer::Measureme => 20_000,
            _ => Plan::THOROUGH.calls,
        };
        Plan {
            calls,
            samples: Plan::THOROUGH.samples.min(calls as usize),
            ..Plan::THOROUGH
        }
    }

    /// Sets it up, once in a process; what it writes goes to `dir`.
    pub(crate) fn set_up(self, dir: &Path) -> Result<Box<dyn Troupe>, String> {
        Ok(match self {
            Peer::Ringscope => Box::new(ringscope::Ringscope::set_up(dir)?),
            Peer::Fastrace => Box::new(fastrace::Fastrace),
            Peer::Puffin => Box::new(puffin::Puffin::set_up()),
            Peer::Measureme => Box::new(measureme::Measureme::set_up(dir)?),
            Peer::TracingWithoutSubscriber => Box::new(tracing::WithoutSubscriber),
            Peer::TracingChrome => Box::new(tracing_chrome::Chrome::set_up(dir)?),
            Peer::TracyClient => Box::new(tracy::Tracy::set_up()),
            Peer::Clocks => Box::new(clocks::Clocks),
        })
    }
}

impl dyn Troupe {
    /// The harness's own cases and those of the peer, for thread number `thread`.
    pub(crate) fn cast(&self, dir: &Path, thread: usize) -> Result<Vec<Box<dyn Subject>>, String> {
        let floor = Floor::new(&dir.join(format!("floor-{thread}")), FLOOR_RING_BYTES)?;
        let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Loop), Box::new(floor)];
        subjects.extend(self.cases());
        Ok(subjects)
    }
}
