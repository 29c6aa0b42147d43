//! Launches of a log: the spans of one invocation, and where on the host's time line its device work goes.
//!
//! Device times count from an origin of their own in each launch. All that is known of it is that the work lies inside
//! the host span that started it and waited for it: it is put in the middle, and may be off by half of what is left.

/// Host spans of a launch that are looked at; a log without launch numbers puts all of them under one.
const MAX_HOST_SPANS: usize = 256;

/// A span that waits for the end of its launch's records.
#[derive(Debug)]
pub(super) struct Held {
    pub tid: u32,
    pub site: u32,
    pub name: Box<[u8]>,
    pub depth: i32,
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Its arguments, encoded.
    pub payload: Vec<u8>,
    /// Device and stream of work on a device.
    pub stream: Option<(u32, u32)>,
}

impl Held {
    fn end_ns(&self) -> u64 {
        self.start_ns + self.duration_ns
    }
}

/// Spans of one launch, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Launch {
    pub host: Vec<Held>,
    pub device: Vec<Held>,
}

/// Where the device work of a launch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Index of the host span that launched it.
    pub host: usize,
    /// Device time that stands at `host_ns`.
    pub device_ns: u64,
    pub host_ns: u64,
    /// How far off it may be; `None` where the work is longer than its launch.
    pub slack_ns: Option<u64>,
}

impl Placement {
    /// The host's time of a moment of the device that is not before the first of its launch.
    pub(super) fn host_time_ns(&self, device_ns: u64) -> u64 {
        self.host_ns
            .saturating_add(device_ns.saturating_sub(self.device_ns))
    }
}

impl Launch {
    /// True when no more host spans are to wait here.
    pub(super) fn is_full(&self) -> bool {
        self.host.len() >= MAX_HOST_SPANS
    }

    /// Where the device work goes; `None` without any, or without a host span.
    pub(super) fn place(&self) -> Option<Placement> {
        let first_ns = self.device.iter().map(|span| span.start_ns).min()?;
        let last_ns = self.device.iter().map(Held::end_ns).max()?;
        let (host, launch) = self.launching_span()?;
        let work_ns = last_ns - first_ns;
        let room_ns = launch.duration_ns.checked_sub(work_ns);
        Some(Placement {
            host,
            device_ns: first_ns,
            host_ns: launch.start_ns + room_ns.unwrap_or(0) / 2,
            slack_ns: room_ns.map(|room_ns| room_ns.div_ceil(2)),
        })
    }

    /// The host span whose dotted name begins that of the device work by the most, else the outermost.
    fn launching_span(&self) -> Option<(usize, &Held)> {
        let work = &self.device.first()?.name;
        let shared = |span: &Held| {
            let rest = work.strip_prefix(&*span.name)?;
            (rest.is_empty() || rest[0] == b'.').then_some(span.name.len())
        };
        let spans = self.host.iter().enumerate();
        spans.max_by_key(|(_, span)| (shared(span), -i64::from(span.depth), span.duration_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(name: &str, depth: i32, start_ns: u64, duration_ns: u64) -> Held {
        Held {
            tid: 1,
            site: 1,
            name: name.as_bytes().into(),
            depth,
            start_ns,
            duration_ns,
            payload: Vec::new(),
            stream: None,
        }
    }

    #[test]
    fn work_goes_to_the_middle_of_the_span_that_is_named_like_it() {
        let launch = Launch {
            host: vec![
                held("chip.run.runner", 1, 1_200, 10),
                held("chip.run.runner_run", 1, 1_000, 500),
                held("chip.run", 0, 900, 1_000),
            ],
            device: vec![
                held("chip.run.runner_run.device_wall", 2, 5, 400),
                held("chip.run.runner_run.device_wall.sched", 3, 7, 100),
            ],
        };
        let placement = launch.place().unwrap();
        let expected = Placement {
            host: 1,
            device_ns: 5,
            host_ns: 1_050,
            slack_ns: Some(50),
        };
        assert_eq!(placement, expected);
        assert_eq!(placement.host_time_ns(7), 1_052);
    }

    #[test]
    fn without_a_name_in_common_the_outermost_span_launched_it() {
        let launch = Launch {
            host: vec![held("inner", 1, 10, 10), held("outer", 0, 0, 100)],
            device: vec![held("wall", 2, u64::MAX >> 2, 200)],
        };
        let placement = launch.place().unwrap();
        assert_eq!(
            (placement.host, placement.host_ns, placement.slack_ns),
            (1, 0, None)
        );
    }

    #[test]
    fn work_without_a_host_span_has_no_place() {
        let device = vec![held("wall", 2, 0, 200)];
        assert_eq!(
            Launch {
                host: Vec::new(),
                device
            }
            .place(),
            None
        );
        assert_eq!(Launch::default().place(), None);
    }
}
