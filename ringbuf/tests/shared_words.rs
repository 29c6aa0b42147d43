//! Words that one side changes through a mapping come whole to the other, which reads and writes by system calls.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::MmapRaw;
use ringscope_ringbuf::shared_words;

/// Long enough that reads of one byte after the other were seen torn a hundred times and more.
const LOOKS: usize = 200_000;
const OFFSETS: [u64; 3] = [0, 192, 4096 + 512];

/// Bytes that a torn word has from different numbers.
fn word(n: u64) -> u64 {
    (n & 0xff) * 0x0101_0101_0101_0101
}

fn is_whole(word: u64) -> bool {
    word == (word & 0xff) * 0x0101_0101_0101_0101
}

struct Shared {
    file: File,
    map: MmapRaw,
}

impl Shared {
    fn new() -> Shared {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let map = MmapRaw::map_raw(&file).unwrap();
        Shared { file, map }
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: the offset is a multiple of eight inside the mapping, which is page-aligned, lives as long as
        // `self`, and is touched through such words and system calls alone.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset as usize).cast()) }
    }
}

/// Sets its flag when it goes, also by a panic: nobody must wait for who failed.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `change` with rising numbers until `look` returns.
fn beside(change: impl Fn(u64) + Sync, look: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                change(n);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _done = SetOnDrop(&done);
        look();
    });
}

#[test]
fn words_are_read_whole() {
    for offset in OFFSETS {
        let shared = Shared::new();
        let target = shared.word(offset);
        beside(
            |n| target.store(word(n), Ordering::Relaxed),
            || {
                for _ in 0..LOOKS {
                    let mut bytes = [0; 8];
                    shared_words::read_exact_at(&shared.file, offset, &mut bytes).unwrap();
                    let found = u64::from_le_bytes(bytes);
                    assert!(is_whole(found), "offset {offset}: {found:#x}");
                }
            },
        );
    }
}

#[test]
fn words_are_written_whole() {
    for offset in OFFSETS {
        let shared = Shared::new();
        let target = shared.word(offset);
        beside(
            |n| shared_words::write_all_at(&shared.file, offset, &[word(n), 0]).unwrap(),
            || {
                for _ in 0..LOOKS * 20 {
                    let found = target.load(Ordering::Relaxed);
                    assert!(is_whole(found), "offset {offset}: {found:#x}");
                }
            },
        );
    }
}

#[test]
fn what_spans_pages_is_read_in_order() {
    let shared = Shared::new();
    shared.word(4088).store(1, Ordering::Relaxed);
    shared.word(4096).store(2, Ordering::Relaxed);
    let mut bytes = [0; 16];
    shared_words::read_exact_at(&shared.file, 4088, &mut bytes).unwrap();
    assert_eq!(bytes[..8], 1u64.to_le_bytes());
    assert_eq!(bytes[8..], 2u64.to_le_bytes());
    let beyond = shared_words::read_exact_at(&shared.file, 8184, &mut bytes).unwrap_err();
    assert_eq!(beyond.kind(), std::io::ErrorKind::UnexpectedEof);
}
