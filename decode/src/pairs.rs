//! Launches and their executions, paired by correlation id: the sorted runs of [`crate::links`] are merged into one list per
//! process, which stands in the temporary file when it is long and is looked up block by block.
//!
//! A list has nothing of launches that no device time is known of: what it does not hold is unavailable.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::ops::RangeInclusive;

use rayon::prelude::*;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::links::{LINK_LEN, Link, LinkKind, Links, Run};
use crate::spill::Spill;

/// Links of all processes whose lists stay in memory, together.
const MAX_RESIDENT: u64 = if cfg!(test) { 64 } else { 1 << 15 };
/// Blocks of all lists together, about: they take 16 bytes each.
const MAX_BLOCKS: u64 = 1 << 17;
/// Entries of a block.
const BLOCK_LEN: RangeInclusive<u64> = if cfg!(test) { 4..=4 } else { 64..=4096 };
/// Bytes that the runs of a process are read into, together.
const MERGE_ROOM: usize = 4 << 20;
/// Links of one run that are read at once.
const MERGE_READ: RangeInclusive<usize> = if cfg!(test) { 3..=3 } else { 16..=1024 };

/// A launch or an execution that is known to belong together with others.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Entry {
    pub correlation: u64,
    /// Where it begins on the time line.
    pub start_ns: i64,
    pub sequence: u64,
    /// Number of the arrow to an execution, within its process; 0 for a launch.
    arrow: u64,
    pub ring: u32,
    pub row: u32,
}
const ENTRY_LEN: usize = size_of::<Entry>();
const _: () = assert!(ENTRY_LEN == 40);

/// Ring of an entry that says no more than that device time is known.
const NO_RING: u32 = u32::MAX;

impl Entry {
    fn of(link: &Link, start_ns: i64, arrow: u64) -> Entry {
        Entry {
            correlation: link.correlation,
            start_ns,
            sequence: link.sequence,
            arrow,
            ring: link.ring,
            row: link.row,
        }
    }

    fn known(correlation: u64) -> Entry {
        Entry {
            correlation,
            ring: NO_RING,
            ..Entry::new_zeroed()
        }
    }

    pub(crate) fn is_execution(&self) -> bool {
        self.arrow != 0
    }

    pub(crate) fn is_launch(&self) -> bool {
        self.arrow == 0 && self.ring != NO_RING
    }
}

/// The pairs of all processes.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// By index of the process.
    lists: Vec<List>,
    /// So many arrows are those of processes before.
    first_arrows: Vec<u64>,
}

/// The entries of a process, by correlation id: the launch of an id, then its executions by start.
#[derive(Debug, Default)]
struct List {
    /// Those of a short list.
    resident: Vec<Entry>,
    blocks: Vec<Block>,
    arrow_count: u64,
}

/// Entries that stand together in the temporary file.
#[derive(Clone, Copy, Debug)]
struct Block {
    first_correlation: u64,
    offset: u64,
    count: u32,
}

impl Pairs {
    /// Pairs each execution with the first launch of its process that has the same correlation id. `links`: those of each
    /// process; `start_of`: where a launch or execution begins on the time line, if it is there.
    pub(crate) fn of(
        links: Vec<Vec<Links>>,
        spill: &Spill,
        start_of: impl Fn(&Link) -> Option<i64> + Sync,
    ) -> io::Result<Pairs> {
        let count: u64 = links.iter().flatten().map(Links::len).sum();
        let block_len = (count / MAX_BLOCKS)
            .next_power_of_two()
            .clamp(*BLOCK_LEN.start(), *BLOCK_LEN.end());
        let block_len = (count > MAX_RESIDENT).then_some(block_len as usize);
        let list = |links: Vec<Links>| List::merge(links, spill, block_len, &start_of);
        let lists: io::Result<Vec<List>> = links.into_par_iter().map(list).collect();
        let lists = lists?;
        let mut arrow_count = 0;
        let first_arrows = lists.iter().map(|list| {
            let first = arrow_count;
            arrow_count += list.arrow_count;
            first
        });
        Ok(Pairs {
            first_arrows: first_arrows.collect(),
            lists,
        })
    }

    /// Number of the arrow to an execution of a process, from 1.
    pub(crate) fn arrow(&self, process: u32, execution: &Entry) -> u64 {
        let first = self.first_arrows.get(process as usize);
        first.copied().unwrap_or(0) + execution.arrow
    }

    /// A look at the list of a process.
    pub(crate) fn search(&self, process: u32) -> Search<'_> {
        let list = self.lists.get(process as usize);
        Search {
            resident: list.map_or(&[], |list| &list.resident),
            blocks: list.map_or(&[], |list| &list.blocks),
            next: 0,
            block: Vec::new(),
            at: 0,
        }
    }
}

impl List {
    /// `block_len`: entries of a block in the temporary file; `None` for a list that stays in memory.
    fn merge(
        links: Vec<Links>,
        spill: &Spill,
        block_len: Option<usize>,
        start_of: &impl Fn(&Link) -> Option<i64>,
    ) -> io::Result<List> {
        let mut merge = Merge::new(links, spill)?;
        let mut writer = ListWriter {
            list: List::default(),
            spill,
            block_len,
            launch: None,
            correlation: 0,
            is_known: false,
        };
        while let Some(link) = merge.next()? {
            writer.take(&link, start_of(&link))?;
        }
        writer.finish()
    }
}

/// Writes a list as links come, sorted.
struct ListWriter<'a> {
    list: List,
    spill: &'a Spill,
    block_len: Option<usize>,
    correlation: u64,
    /// The first launch of the correlation id that is on the time line.
    launch: Option<Entry>,
    /// The list has entries of the correlation id.
    is_known: bool,
}

impl ListWriter<'_> {
    /// `start_ns`: where it begins on the time line; `None` when it is not there.
    fn take(&mut self, link: &Link, start_ns: Option<i64>) -> io::Result<()> {
        if link.correlation != self.correlation {
            self.correlation = link.correlation;
            self.launch = None;
            self.is_known = false;
        }
        if link.kind == LinkKind::LAUNCH {
            let entry = start_ns.map(|start_ns| Entry::of(link, start_ns, 0));
            self.launch = self.launch.or(entry);
            return Ok(());
        }
        if !self.is_known {
            self.is_known = true;
            let entry = self.launch.unwrap_or(Entry::known(link.correlation));
            self.put(entry)?;
        }
        if link.kind == LinkKind::EXECUTION
            && self.launch.is_some()
            && let Some(start_ns) = start_ns
        {
            self.list.arrow_count += 1;
            self.put(Entry::of(link, start_ns, self.list.arrow_count))?;
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry) -> io::Result<()> {
        self.list.resident.push(entry);
        match self.block_len {
            Some(block_len) if self.list.resident.len() == block_len => self.end_block(),
            _ => Ok(()),
        }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some(first) = self.list.resident.first() else {
            return Ok(());
        };
        self.list.blocks.push(Block {
            first_correlation: first.correlation,
            offset: self.spill.append(self.list.resident.as_bytes())?,
            count: self.list.resident.len() as u32,
        });
        self.list.resident.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<List> {
        if self.block_len.is_some() {
            self.end_block()?;
        }
        self.list.resident.shrink_to_fit();
        Ok(self.list)
    }
}

/// Sorted links that are read piece by piece.
struct Cursor {
    run: Run,
    /// Those that were read.
    links: Vec<Link>,
    at: usize,
}

impl Cursor {
    /// The next link, without going on.
    fn peek(&self) -> Option<&Link> {
        self.links.get(self.at)
    }

    /// Reads the next piece when this one is used up.
    fn fill(&mut self, spill: &Spill, len: usize) -> io::Result<()> {
        if self.at < self.links.len() || self.run.count == 0 {
            return Ok(());
        }
        let count = self.run.count.min(len as u64);
        self.links.resize(count as usize, Link::new_zeroed());
        spill.read_at(self.run.offset, self.links.as_mut_bytes())?;
        self.run.offset += count * LINK_LEN as u64;
        self.run.count -= count;
        self.at = 0;
        Ok(())
    }
}

/// What a link is sorted by.
type Key = (u64, LinkKind, i64, u32, u64);

/// All links of a process, in order.
struct Merge<'a> {
    spill: &'a Spill,
    cursors: Vec<Cursor>,
    /// The next of each cursor that has one.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
    read_len: usize,
}

impl<'a> Merge<'a> {
    fn new(links: Vec<Links>, spill: &'a Spill) -> io::Result<Merge<'a>> {
        let runs = links.iter().map(|links| links.runs.len()).sum::<usize>();
        let read_len =
            (MERGE_ROOM / LINK_LEN / runs.max(1)).clamp(*MERGE_READ.start(), *MERGE_READ.end());
        let mut cursors = Vec::new();
        for links in links {
            cursors.extend(links.runs.into_iter().map(|run| Cursor {
                run,
                links: Vec::new(),
                at: 0,
            }));
            cursors.push(Cursor {
                run: Run {
                    offset: 0,
                    count: 0,
                },
                links: links.resident,
                at: 0,
            });
        }
        for cursor in &mut cursors {
            cursor.fill(spill, read_len)?;
        }
        let firsts = cursors.iter().enumerate();
        let firsts = firsts.filter_map(|(at, cursor)| Some(Reverse((cursor.peek()?.key(), at))));
        Ok(Merge {
            heap: firsts.collect(),
            spill,
            cursors,
            read_len,
        })
    }

    fn next(&mut self) -> io::Result<Option<Link>> {
        let Some(mut top) = self.heap.peek_mut() else {
            return Ok(None);
        };
        let Reverse((_, at)) = *top;
        let cursor = &mut self.cursors[at];
        let link = cursor.peek().copied();
        cursor.at += 1;
        cursor.fill(self.spill, self.read_len)?;
        match cursor.peek() {
            Some(next) => *top = Reverse((next.key(), at)),
            None => drop(PeekMut::pop(top)),
        }
        Ok(link)
    }
}

/// A walk over a list by ascending correlation ids.
pub(crate) struct Search<'a> {
    resident: &'a [Entry],
    blocks: &'a [Block],
    /// Number of the block behind the one that was read.
    next: usize,
    block: Vec<Entry>,
    /// Place in the block, or among those in memory.
    at: usize,
}

impl Search<'_> {
    /// Visits the entries of a correlation id; ids only grow from call to call. False when there are none.
    pub(crate) fn visit(
        &mut self,
        correlation: u64,
        spill: &Spill,
        mut visit: impl FnMut(&Entry),
    ) -> io::Result<bool> {
        self.go_to(correlation, spill)?;
        let mut is_known = false;
        loop {
            let read = self.read();
            let rest = read.get(self.at..).unwrap_or_default();
            let count = rest.partition_point(|entry| entry.correlation == correlation);
            rest[..count].iter().for_each(&mut visit);
            is_known |= count > 0;
            self.at += count;
            let goes_on = self.at == self.read().len();
            if !goes_on || !self.read_block(spill)? {
                return Ok(is_known);
            }
        }
    }

    /// What was read last.
    fn read(&self) -> &[Entry] {
        if self.blocks.is_empty() {
            self.resident
        } else {
            &self.block
        }
    }

    /// Goes to the first entry of an id, or of the next one that there is.
    fn go_to(&mut self, correlation: u64, spill: &Spill) -> io::Result<()> {
        let is_before = |block: &Block| block.first_correlation < correlation;
        let first = self.blocks.partition_point(is_before).saturating_sub(1);
        if first >= self.next {
            self.next = first;
            self.read_block(spill)?;
        }
        let rest = self.read().get(self.at..).unwrap_or_default();
        self.at += rest.partition_point(|entry| entry.correlation < correlation);
        Ok(())
    }

    /// False behind the last block.
    fn read_block(&mut self, spill: &Spill) -> io::Result<bool> {
        let Some(block) = self.blocks.get(self.next) else {
            return Ok(false);
        };
        self.block.resize(block.count as usize, Entry::new_zeroed());
        spill.read_at(block.offset, self.block.as_mut_bytes())?;
        self.next += 1;
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Process, ring within it, correlation id, kind and start of a link; the sequence is its place in the list.
    type Drawn = (u32, u32, u64, u32, i64);

    const PROCESSES: u32 = 3;
    const RINGS: u32 = 2;

    fn drawn() -> impl Strategy<Value = Drawn> {
        let correlation = prop_oneof![1u64..60, 1_000u64..1_004, any::<u64>()];
        (0..PROCESSES, 0..RINGS, correlation, 0u32..3, 0i64..50)
    }

    fn link(sequence: usize, (process, ring, correlation, kind, start_ns): Drawn) -> Link {
        Link {
            correlation,
            start_ns,
            end_ns: start_ns + 1,
            sequence: sequence as u64,
            row: 7,
            site: 0,
            ring: process * RINGS + ring,
            kind: [LinkKind::LAUNCH, LinkKind::EXECUTION, LinkKind::TASKS][kind as usize],
        }
    }

    /// Some links are not on the time line.
    fn start_of(link: &Link) -> Option<i64> {
        (!link.sequence.is_multiple_of(7)).then_some(link.start_ns)
    }

    /// What a process is to say of a correlation id: launch and executions by sequence; `None`: unavailable.
    fn expected(links: &[Link], process: u32, correlation: u64) -> Option<(Option<u64>, Vec<u64>)> {
        let here = |link: &&Link| link.ring / RINGS == process && link.correlation == correlation;
        let mut here: Vec<&Link> = links.iter().filter(here).collect();
        here.sort_by_key(|link| link.key());
        let on_device = here.iter().any(|link| link.kind != LinkKind::LAUNCH);
        let shown = |kind| {
            here.iter()
                .filter(move |link| link.kind == kind && start_of(link).is_some())
        };
        let launch = shown(LinkKind::LAUNCH).next().map(|link| link.sequence);
        let executions = shown(LinkKind::EXECUTION).map(|link| link.sequence);
        on_device.then(|| (launch, launch.map_or(Vec::new(), |_| executions.collect())))
    }

    fn pairs_of(links: &[Link], spill: &Spill) -> Pairs {
        let mut of_process: Vec<Vec<Links>> = Vec::new();
        for process in 0..PROCESSES {
            let of_ring = (0..RINGS).map(|ring| {
                let mut of_ring = Links::default();
                for link in links
                    .iter()
                    .filter(|link| link.ring == process * RINGS + ring)
                {
                    of_ring.push(*link, spill).unwrap();
                }
                of_ring.finish(spill).unwrap();
                of_ring
            });
            of_process.push(of_ring.collect());
        }
        Pairs::of(of_process, spill, start_of).unwrap()
    }

    proptest! {
        /// Few links stay in memory, many go through runs and blocks in the temporary file.
        #[test]
        fn every_list_has_what_belongs_together(all in prop::collection::vec(drawn(), 0..400)) {
            let links: Vec<Link> = all.into_iter().enumerate().map(|(at, one)| link(at, one)).collect();
            let spill = Spill::default();
            let pairs = pairs_of(&links, &spill);
            let mut correlations: Vec<u64> = links.iter().map(|link| link.correlation).collect();
            correlations.extend([0, 30, 1_002, u64::MAX]);
            correlations.sort_unstable();
            correlations.dedup();
            let mut arrows = Vec::new();
            for process in 0..PROCESSES {
                let mut search = pairs.search(process);
                for correlation in &correlations {
                    let (mut launch, mut executions) = (None, Vec::new());
                    let is_known = search.visit(*correlation, &spill, |entry| {
                        if entry.is_launch() {
                            launch = Some(entry.sequence);
                        }
                        if entry.is_execution() {
                            executions.push(entry.sequence);
                            arrows.push(pairs.arrow(process, entry));
                        }
                    });
                    let found = is_known.unwrap().then_some((launch, executions));
                    prop_assert_eq!(found, expected(&links, process, *correlation));
                }
            }
            prop_assert_eq!(&arrows, &(1..=arrows.len() as u64).collect::<Vec<_>>());
        }
    }
}
