//! measureme: interval and instant events of 24 bytes, by way of a buffer of 256 KiB a profiler that all threads share.

use std::path::Path;
use std::sync::Arc;

use measureme::{EventId, Profiler, StringId};
use ringscope_benches::case::{Case, Subject};

use crate::peer::Troupe;

pub(crate) struct Measureme {
    profiler: Arc<Profiler>,
    kind: StringId,
    event: EventId,
}

impl Measureme {
    pub(crate) fn set_up(dir: &Path) -> Result<Measureme, String> {
        let profiler = Profiler::new(dir.join("measureme"))
            .map_err(|error| format!("create: {}: {error}", dir.display()))?;
        let kind = profiler.alloc_string("kind");
        let event = EventId::from_label(profiler.alloc_string("span"));
        Ok(Measureme {
            profiler: Arc::new(profiler),
            kind,
            event,
        })
    }
}

impl Troupe for Measureme {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        let event = || Event {
            profiler: Arc::clone(&self.profiler),
            kind: self.kind,
            event: self.event,
        };
        vec![Box::new(Interval(event())), Box::new(Instant(event()))]
    }
}

struct Event {
    profiler: Arc<Profiler>,
    kind: StringId,
    event: EventId,
}

struct Interval(Event);

impl Case for Interval {
    const NAME: &'static str = "interval event";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let Event {
            profiler,
            kind,
            event,
        } = &self.0;
        let _event = profiler.start_recording_interval_event(*kind, *event, 1);
        inside();
    }
}

struct Instant(Event);

impl Case for Instant {
    const NAME: &'static str = "instant event";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let Event {
            profiler,
            kind,
            event,
        } = &self.0;
        profiler.record_instant_event(*kind, *event, 1);
        inside();
    }
}
