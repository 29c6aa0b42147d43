//! Which machine a log's CLOCK_MONOTONIC is of: this one since its start, or another one that only the wall clock ties
//! to it.

use ringscope_ringbuf::{clock, sys};

/// Wall clocks are steered: of two readings of one boot the offset to CLOCK_MONOTONIC differs by less than this.
const SAME_BOOT_NS: u64 = 1_000_000_000;

/// A machine from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boot {
    pub id: [u8; 16],
    pub host: [u8; 64],
    /// CLOCK_REALTIME less CLOCK_MONOTONIC, ns.
    offset_ns: i64,
}

impl Boot {
    /// The one that this program runs in.
    pub(super) fn this() -> Boot {
        Boot {
            id: sys::boot_id(),
            host: sys::host_name(),
            offset_ns: clock::realtime_ns().wrapping_sub(clock::monotonic_ns()) as i64,
        }
    }

    fn another(offset_ns: i64) -> Boot {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&sys::random_u64().to_le_bytes());
        id[8..].copy_from_slice(&sys::random_u64().to_le_bytes());
        Boot {
            id,
            host: [0; 64],
            offset_ns,
        }
    }

    fn has(&self, offset_ns: i64) -> bool {
        self.offset_ns.abs_diff(offset_ns) < SAME_BOOT_NS
    }

    /// CLOCK_REALTIME at a moment of CLOCK_MONOTONIC, ns.
    pub(super) fn real_ns(&self, mono_ns: u64) -> u64 {
        mono_ns.wrapping_add(self.offset_ns as u64)
    }
}

/// The boots that a log's anchors tell of.
#[derive(Debug)]
pub(super) struct Boots {
    this: Boot,
    others: Vec<Boot>,
}

impl Boots {
    pub(super) fn new() -> Boots {
        Boots {
            this: Boot::this(),
            others: Vec::new(),
        }
    }

    /// The boot in which the wall clock stood at `real_ns` when CLOCK_MONOTONIC stood at `mono_ns`.
    pub(super) fn of_anchor(&mut self, mono_ns: u64, real_ns: u64) -> Boot {
        let offset_ns = real_ns.wrapping_sub(mono_ns) as i64;
        let mut known = std::iter::once(&self.this).chain(&self.others);
        if let Some(boot) = known.find(|boot| boot.has(offset_ns)) {
            return *boot;
        }
        let boot = Boot::another(offset_ns);
        self.others.push(boot);
        boot
    }

    /// That of a process without an anchor: the one that others of the log tell, else this one.
    pub(super) fn of_no_anchor(&self, some_anchor: Option<Boot>) -> Boot {
        some_anchor.unwrap_or(self.this)
    }

    /// True for the boot that this program runs in.
    pub(super) fn is_this(&self, boot: &Boot) -> bool {
        boot.id == self.this.id
    }
}
