//! What decoding the rings of one process file needs at hand: clock, sites, owners, lanes and device clocks, with
//! ids already turned into indexes of the time line.

use std::collections::HashMap;

use crate::clock::{Conversion, ProcessClock};

/// The row of a lane number, and the clock of its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneRow {
    pub row: u32,
    /// Clock domain, for streams of devices.
    pub clock_domain: Option<u32>,
}

impl LaneRow {
    pub(crate) fn host(row: u32) -> LaneRow {
        LaneRow {
            row,
            clock_domain: None,
        }
    }
}

/// One use of a lane number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneUse {
    pub start_ticks: u64,
    pub start_ns: i64,
    pub lane: LaneRow,
}

/// A thread on a ring, from a sequence on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnerRow {
    pub first_sequence: u64,
    /// When it took the ring, where that is known.
    pub start_ns: Option<i64>,
    pub row: u32,
}

/// Site ids from here on are looked up in a map: only damage makes them.
const DENSE_SITES: u32 = 1 << 16;

/// Indexes in the time line's sites, by site id.
#[derive(Default)]
pub(crate) struct SiteTable {
    /// Index and one, twice, and one more when records of the site carry arguments; 0 for none.
    dense: Vec<u32>,
    sparse: HashMap<u32, u32>,
}

impl SiteTable {
    /// Index, and whether records of the site carry arguments.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<(u32, bool)> {
        let packed = match self.dense.get(id as usize) {
            Some(packed) => *packed,
            None => self.sparse.get(&id).copied().unwrap_or(0),
        };
        (packed != 0).then(|| ((packed >> 1) - 1, packed & 1 != 0))
    }

    pub(crate) fn insert(&mut self, id: u32, index: u32, has_args: bool) {
        let packed = (index + 1) << 1 | u32::from(has_args);
        if id >= DENSE_SITES {
            self.sparse.insert(id, packed);
            return;
        }
        let at = id as usize;
        if self.dense.len() <= at {
            self.dense.resize(at + 1, 0);
        }
        self.dense[at] = packed;
    }
}

/// The context of one process file.
pub(crate) struct Recorder {
    pub is_alive: bool,
    pub clock: ProcessClock,
    pub sites: SiteTable,
    /// For each of the time line's sites: do its records carry arguments?
    pub first_site: u32,
    pub site_has_args: Vec<bool>,
    /// By ring, by first sequence; never empty for a ring of the process.
    pub owners: HashMap<u32, Vec<OwnerRow>>,
    /// By lane number, by start.
    pub lanes: HashMap<u16, Vec<LaneUse>>,
    pub device_clocks: HashMap<u32, Conversion>,
    /// Keys of late arguments.
    pub keys: HashMap<u32, String>,
}

impl Recorder {
    pub(crate) fn owners_of(&self, ring_index: u32) -> &[OwnerRow] {
        self.owners.get(&ring_index).map_or(&[], Vec::as_slice)
    }

    #[inline]
    pub(crate) fn site(&self, id: u32) -> Option<u32> {
        self.sites.get(id).map(|(index, _)| index)
    }

    pub(crate) fn has_args(&self, site: u32) -> bool {
        let at = site.wrapping_sub(self.first_site) as usize;
        self.site_has_args.get(at).copied().unwrap_or(false)
    }

    /// The newest use of a lane number that began before a record's end; ends in ns are compared as such.
    pub(crate) fn lane(&self, number: u16, end_ticks: Option<u64>, end_ns: i64) -> Option<LaneRow> {
        let uses = self.lanes.get(&number)?;
        let began = match end_ticks {
            Some(ticks) => uses.partition_point(|lane| lane.start_ticks <= ticks),
            None => uses.partition_point(|lane| lane.start_ns <= end_ns),
        };
        uses.get(began.checked_sub(1)?).map(|lane| lane.lane)
    }

    pub(crate) fn newest_lane(&self, number: u16) -> Option<LaneRow> {
        self.lanes.get(&number)?.last().map(|lane| lane.lane)
    }
}
