//! How far off the times of a device event may be, event by event, where that was asked for.

use std::collections::HashMap;

use crate::device_clock::Domain;
use crate::event::Event;
use crate::lanes::Lane;
use crate::recorder::Recorder;
use crate::rows::{Row, RowKind};

/// The device clocks behind each lane.
#[derive(Debug, Default)]
pub(crate) struct DeviceSlack {
    /// By lane: the clocks of its stream, each with the index of its recorder.
    of_lane: Vec<Vec<(u32, Domain)>>,
}

impl DeviceSlack {
    /// `domains`: those of each recorder, by its index.
    pub(crate) fn of(
        lanes: &[Lane],
        rows: &[Row],
        recorders: &[Recorder],
        domains: &[(u32, Domain)],
    ) -> DeviceSlack {
        let mut of_stream: HashMap<(u32, RowKind), Vec<(u32, Domain)>> = HashMap::new();
        for (recorder, domain) in domains {
            let uses = recorders[*recorder as usize].lanes.values().flatten();
            let uses = uses.filter(|lane| lane.lane.clock_domain == Some(domain.id));
            for lane in uses {
                let row = &rows[lane.lane.row as usize];
                let of_stream = of_stream.entry((row.process, row.kind)).or_default();
                of_stream.push((*recorder, domain.clone()));
            }
        }
        let of_lane = lanes.iter().map(|lane| {
            let found = of_stream.get(&(lane.process, lane.kind));
            found.cloned().unwrap_or_default()
        });
        DeviceSlack {
            of_lane: of_lane.collect(),
        }
    }

    /// How far off start and end of an event may be, ns; `None` where nothing bounds that, and for events of hosts.
    pub(crate) fn of_event(&self, event: &Event, recorder: u32) -> Option<u64> {
        let domains = self.of_lane.get(event.lane as usize)?.iter();
        let mut domains = domains.filter(|(of, _)| *of == recorder);
        // A stream that was given to another clock: the record doesn't say which, so the worse one counts.
        let slack = |domain: &Domain| domain.slack_ns(event.start_ns, event.end_ns);
        let first = slack(&domains.next()?.1)?;
        domains.try_fold(first, |worst, (_, domain)| Some(worst.max(slack(domain)?)))
    }
}
