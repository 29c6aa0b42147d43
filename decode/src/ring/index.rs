//! Which blocks of a ring hold events of which time.
//!
//! Spans stand in a ring by their ends, so the starts within a block lie near each other but for a few: those that
//! began long before are put aside, sorted, in blocks of their own. What is left of a block spans little time, and a
//! stretch of time is found in few blocks.

use std::ops::Range;

/// Blocks whose reach is kept together.
const GROUP: usize = 64;

/// A span that began before what this many blocks earlier had ended is put aside.
pub(crate) const LOOKBACK: usize = 32;

/// The times of some events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// First and last start, ns; first behind last when there is no event.
    pub first_ns: i64,
    pub last_ns: i64,
    /// Last end, ns.
    pub end_ns: i64,
    /// Events.
    pub count: u32,
    /// All records are spans of the ring's own thread, without continuations, that are not put aside.
    pub is_plain: bool,
}

impl Reach {
    pub(crate) const EMPTY: Reach = Reach {
        first_ns: i64::MAX,
        last_ns: i64::MIN,
        end_ns: i64::MIN,
        count: 0,
        is_plain: false,
    };

    pub(crate) fn add(&mut self, start_ns: i64, end_ns: i64) {
        self.first_ns = self.first_ns.min(start_ns);
        self.last_ns = self.last_ns.max(start_ns);
        self.end_ns = self.end_ns.max(end_ns);
        self.count += 1;
    }

    fn join(&mut self, other: &Reach) {
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        self.count = self.count.saturating_add(other.count);
    }

    fn meets(&self, starts: &Range<i64>) -> bool {
        self.first_ns < starts.end && self.last_ns >= starts.start
    }
}

/// The reach of blocks, by number.
#[derive(Debug, Default)]
pub(crate) struct Reaches {
    blocks: Vec<Reach>,
    groups: Vec<Reach>,
    /// Last start in each group and all before it.
    last_so_far: Vec<i64>,
    /// First start in each group and all behind it; made when all blocks have come.
    first_from_here: Vec<i64>,
}

impl Reaches {
    pub(crate) fn push(&mut self, reach: Reach) {
        if self.blocks.len().is_multiple_of(GROUP) {
            self.groups.push(Reach::EMPTY);
            let before = self.last_so_far.last().copied();
            self.last_so_far.push(before.unwrap_or(i64::MIN));
        }
        if let (Some(group), Some(last)) = (self.groups.last_mut(), self.last_so_far.last_mut()) {
            group.join(&reach);
            *last = reach.last_ns.max(*last);
        }
        self.blocks.push(reach);
    }

    /// To be called when all blocks have come: they are found without looking at all groups then.
    pub(crate) fn finish(&mut self) {
        let mut first_ns = i64::MAX;
        let from_here = self.groups.iter().rev().map(|group| {
            first_ns = first_ns.min(group.first_ns);
            first_ns
        });
        self.first_from_here = from_here.collect();
        self.first_from_here.reverse();
    }

    /// Numbers of the groups among which those are that may hold events which start within `starts`.
    fn groups_near(&self, starts: &Range<i64>) -> Range<usize> {
        let first = self
            .last_so_far
            .partition_point(|last| *last < starts.start);
        let end = match &self.first_from_here[..] {
            [] => self.groups.len(),
            from_here => from_here.partition_point(|first| *first < starts.end),
        };
        first..end.max(first)
    }

    /// The last block turns out not to be plain.
    pub(crate) fn last_is_not_plain(&mut self) {
        if let Some(last) = self.blocks.last_mut() {
            last.is_plain = false;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Reach> {
        self.blocks.iter()
    }

    /// Those of some blocks.
    pub(crate) fn range(&self, blocks: Range<usize>) -> impl Iterator<Item = &Reach> {
        self.blocks.get(blocks).unwrap_or_default().iter()
    }

    pub(crate) fn get(&self, block: usize) -> Option<&Reach> {
        self.blocks.get(block)
    }

    /// All of them together.
    pub(crate) fn whole(&self) -> Reach {
        let mut whole = Reach::EMPTY;
        for group in &self.groups {
            whole.join(group);
        }
        whole
    }

    /// Numbers of the blocks that may hold events which start within `starts`, ascending.
    pub(crate) fn meeting(&self, starts: Range<i64>) -> impl Iterator<Item = usize> {
        let of_group = starts.clone();
        self.groups_near(&starts)
            .filter(move |number| self.groups[*number].meets(&of_group))
            .flat_map(|number| {
                let first = number * GROUP;
                first..(first + GROUP).min(self.blocks.len())
            })
            .filter(move |block| self.blocks[*block].meets(&starts))
    }

    /// Numbers of the blocks that may hold events which start before a moment and end behind it.
    pub(crate) fn around(&self, moment_ns: i64) -> impl Iterator<Item = usize> {
        let holds = move |reach: &Reach| reach.first_ns < moment_ns && reach.end_ns > moment_ns;
        let groups = self.groups.iter().enumerate();
        groups
            .filter(move |(_, group)| holds(group))
            .flat_map(|(number, _)| {
                let first = number * GROUP;
                first..(first + GROUP).min(self.blocks.len())
            })
            .filter(move |block| holds(&self.blocks[*block]))
    }

    /// What starts before this, in that block, was put aside.
    pub(crate) fn near_from(&self, block: usize) -> i64 {
        let before = block.checked_sub(LOOKBACK);
        before
            .and_then(|before| self.blocks.get(before))
            .map_or(i64::MIN, |before| before.end_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_by_time() {
        let mut reaches = Reaches::default();
        for block in 0..200 {
            let mut reach = Reach::EMPTY;
            reach.add(block * 10, block * 10 + 5);
            reach.add(block * 10 + 8, block * 10 + 9);
            reaches.push(reach);
        }
        let all = [
            0..1,
            8..11,
            639..651,
            9..10,
            0..2_000,
            1_990..5_000,
            3_000..4_000,
        ];
        let before = all
            .clone()
            .map(|starts| reaches.meeting(starts).collect::<Vec<_>>());
        reaches.finish();
        let meeting = |starts| reaches.meeting(starts).collect::<Vec<_>>();
        assert_eq!(all.map(meeting), before);
        assert_eq!(reaches.groups_near(&(645..646)), 1..2);
        assert_eq!(meeting(0..1), [0]);
        assert_eq!(meeting(8..11), [0, 1]);
        assert_eq!(meeting(639..651), [64, 65]);
        assert_eq!(meeting(9..10), [0usize; 0]);
        assert_eq!(reaches.whole().count, 400);
        assert_eq!(reaches.near_from(LOOKBACK + 3), 39);
        assert_eq!(reaches.near_from(LOOKBACK - 1), i64::MIN);
    }
}
