//! How much room rings may take: a part of what the file system and the memory cgroup have left. Nothing here
//! allocates, so that a forked child may ask as well.

use core::ffi::CStr;

use crate::layout::{MAX_CAPACITY_LOG2, RECORD_LEN, ring_header_len};
use crate::sys::{self, FileSystem};

/// Smallest ring that a recorder makes: 16 KiB, so that the longest record takes no more than a part of it.
pub const MIN_RING_LOG2: u32 = 9;
/// All rings of a process take at most this part of what is left.
const BUDGET_PART: u64 = 4;
/// A new ring takes at most this part of what rings may still take, so that many threads each get one.
const RING_PART: u64 = 16;

/// Bytes that all rings of a process may take on `file_system`: a quarter of what it has left and, on tmpfs, whose pages
/// are charged to it, of what the memory cgroup has.
pub fn ring_budget_bytes(file_system: &FileSystem) -> u64 {
    let free_bytes = match file_system.name() {
        "tmpfs" => file_system.free_bytes.min(cgroup_headroom_bytes()),
        _ => file_system.free_bytes,
    };
    free_bytes / BUDGET_PART
}

/// The ring of 2^`wished_log2` records that is wished, or the largest one that leaves rings for other threads where all
/// that are still to come may take `budget_bytes`; `None` when there is room for none.
pub fn affordable_log2(budget_bytes: u64, open_slot_count: usize, wished_log2: u32) -> Option<u32> {
    if budget_bytes < ring_file_len(open_slot_count, MIN_RING_LOG2) {
        return None;
    }
    let records = (budget_bytes / RING_PART / RECORD_LEN as u64).max(1);
    Some(wished_log2.min(records.ilog2()).max(MIN_RING_LOG2))
}

/// The power of two of records of a ring for `ring_bytes` bytes of records, rounded up, within what there can be.
pub fn ring_log2(ring_bytes: u64) -> u32 {
    let records = (ring_bytes / RECORD_LEN as u64).clamp(1, 1 << MAX_CAPACITY_LOG2);
    let log2 = records.next_power_of_two().trailing_zeros();
    log2.max(MIN_RING_LOG2)
}

/// Bytes of the file of a ring of 2^`capacity_log2` records.
pub fn ring_file_len(open_slot_count: usize, capacity_log2: u32) -> u64 {
    ring_header_len(open_slot_count) as u64 + ((RECORD_LEN as u64) << capacity_log2)
}

/// Bytes that the memory cgroups of this process, its own and those around it, may still take; `u64::MAX` without a
/// limit.
pub fn cgroup_headroom_bytes() -> u64 {
    let mut groups = [0u8; 4096];
    let len = sys::read_file(c"/proc/self/cgroup", &mut groups).unwrap_or(0);
    let Some((files, group)) = memory_group(&groups[..len]) else {
        return u64::MAX;
    };
    let mut group = group.strip_suffix(b"/").unwrap_or(group);
    let mut headroom_bytes = files.headroom_bytes(group);
    while let Some(parent_len) = group.iter().rposition(|byte| *byte == b'/') {
        group = &group[..parent_len];
        headroom_bytes = headroom_bytes.min(files.headroom_bytes(group));
    }
    headroom_bytes
}

/// Where a version of cgroups has what it knows of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GroupFiles {
    root: &'static str,
    limit: &'static str,
    used: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    root: "/sys/fs/cgroup/memory",
    limit: "/memory.limit_in_bytes",
    used: "/memory.usage_in_bytes",
};
const VERSION_2: GroupFiles = GroupFiles {
    root: "/sys/fs/cgroup",
    limit: "/memory.max",
    used: "/memory.current",
};

/// The memory cgroup of the process whose `/proc/PID/cgroup` this is.
fn memory_group(groups: &[u8]) -> Option<(GroupFiles, &[u8])> {
    let lines = || groups.split(|byte| *byte == b'\n');
    // Where both versions are mounted, a controller belongs to one of them.
    let of_version_1 = |line| {
        let mut fields = <[u8]>::splitn(line, 3, |byte| *byte == b':').skip(1);
        let mut controllers = fields.next()?.split(|byte| *byte == b',');
        controllers.find(|name| *name == b"memory")?;
        Some((VERSION_1, fields.next()?))
    };
    lines()
        .find_map(of_version_1)
        .or_else(|| lines().find_map(|line| Some((VERSION_2, line.strip_prefix(b"0::")?))))
}

impl GroupFiles {
    /// Bytes that the cgroup `group` may still take; no limit is read where there is none.
    fn headroom_bytes(self, group: &[u8]) -> u64 {
        let limit_bytes = self.number(group, self.limit);
        let used_bytes = || self.number(group, self.used).unwrap_or(0);
        limit_bytes.map_or(u64::MAX, |limit| limit.saturating_sub(used_bytes()))
    }

    fn number(self, group: &[u8], file: &str) -> Option<u64> {
        let mut path = [0u8; 1024];
        let mut len = 0;
        for part in [self.root.as_bytes(), group, file.as_bytes()] {
            path.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        let path = CStr::from_bytes_until_nul(&path).ok()?;
        let mut text = [0u8; 32];
        let len = sys::read_file(path, &mut text).ok()?;
        core::str::from_utf8(&text[..len]).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_of_either_version_is_found() {
        let found = |groups: &'static str| {
            memory_group(groups.as_bytes())
                .map(|(files, group)| (files, core::str::from_utf8(group).unwrap()))
        };
        assert_eq!(
            found("0::/user.slice/job\n"),
            Some((VERSION_2, "/user.slice/job"))
        );
        assert_eq!(
            found("9:cpu,cpuacct:/a\n5:freezer,memory:/docker/b:c\n0::/\n"),
            Some((VERSION_1, "/docker/b:c"))
        );
        assert_eq!(found("0::/\n"), Some((VERSION_2, "/")));
        assert_eq!(found("9:cpu:/a\n"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn sizes_become_powers_of_two_of_records() {
        assert_eq!(ring_log2(1 << 20), 15);
        assert_eq!(ring_log2((1 << 20) + 32), 16);
        assert_eq!(
            (ring_log2(0), ring_log2(u64::MAX)),
            (MIN_RING_LOG2, MAX_CAPACITY_LOG2)
        );
    }

    #[test]
    fn rings_shrink_with_the_room_that_is_left() {
        let of = |budget_bytes| affordable_log2(budget_bytes, 64, 15);
        assert_eq!(of(1 << 30), Some(15));
        assert_eq!(of(16 << 20), Some(15));
        assert_eq!(of((16 << 20) - 1), Some(14));
        assert_eq!(of(ring_file_len(64, MIN_RING_LOG2)), Some(MIN_RING_LOG2));
        assert_eq!(of(ring_file_len(64, MIN_RING_LOG2) - 1), None);
    }
}
