//! Blocks of process files: every kind survives the round trip, and damage stays where it is.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use ringscope_ringbuf::block::{
    Arg, Args, BadBlock, Block, BlockKind, ClockPair, LaneKind, Site, SpanCost, blocks,
};
use ringscope_ringbuf::layout::{BLOCK_HEADER_LEN, MAX_BLOCK_LEN, MAX_NAME_LEN};
use ringscope_ringbuf::payload::ArgType;

/// What the fields of any block are made from.
#[derive(Clone, Debug)]
struct Fields {
    kind: u16,
    words: [u64; 4],
    texts: [Vec<u8>; 3],
    args: Vec<(u8, Vec<u8>, Vec<u8>)>,
}

fn fields() -> impl Strategy<Value = Fields> {
    let text = || vec(any::<u8>(), 0..24);
    let args = vec((1u8..=8, text(), text()), 0..4);
    (1u16..=17, any::<[u64; 4]>(), [text(), text(), text()], args).prop_map(
        |(kind, words, texts, args)| Fields {
            kind,
            words,
            texts,
            args,
        },
    )
}

impl Fields {
    fn args(&self) -> Vec<Arg<'_>> {
        self.args
            .iter()
            .map(|(kind, key, value)| Arg {
                key,
                arg_type: ArgType::from_u8(*kind).unwrap(),
                value,
            })
            .collect()
    }

    /// The block of these fields, encoded.
    fn encoded(&self) -> Vec<u8> {
        let args = self.args();
        let mut buffer = vec![0xAA; 4096];
        let len = self.block(&args).encode(&mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }

    fn block<'a>(&'a self, args: &'a [Arg<'a>]) -> Block<'a> {
        let [a, b, c, d] = self.words;
        let [name, second, third] = &self.texts;
        match self.kind {
            1 => Block::Site(Site {
                id: a as u32,
                level: b as u8,
                run_time: c & 1 != 0,
                line: d as u32,
                name,
                category: second,
                file: third,
                args: Args::List(args),
                constants: Args::List(&args[..args.len() / 2]),
            }),
            2 => Block::Key {
                id: a as u32,
                key: name,
            },
            3 => Block::Lane {
                lane: a as u16,
                kind: [LaneKind::Track, LaneKind::Task, LaneKind::Stream][(a >> 16) as usize % 3],
                generation: b as u32,
                start_ticks: c,
                device: d as u32,
                stream: (d >> 32) as u32,
                clock_domain: (b >> 32) as u32,
                name,
            },
            4 => Block::Owner {
                ring_index: a as u32,
                tid: b as u32,
                first_sequence: c,
                start_ticks: d,
                name,
            },
            5 => Block::ThreadName {
                tid: a as u32,
                ring_index: b as u32,
                name,
            },
            6 => Block::ThreadEnd {
                ring_index: a as u32,
                tid: b as u32,
                end_sequence: c,
                end_ticks: d,
            },
            7 => Block::ProcessName { name },
            8 => Block::ClockPair(ClockPair {
                ticks: a,
                mono_ns: b,
                real_ns: c,
                uncertainty_ns: d as u32,
                source: (d >> 32) as u32,
            }),
            9 => Block::ClockDomain {
                id: a as u32,
                frequency_hz: b,
                name,
            },
            10 => Block::Anchor {
                domain: a as u32,
                host_before_ticks: b,
                device_ticks: c,
                host_after_ticks: d,
            },
            11 => Block::Ring {
                ring_index: a as u32,
                capacity_log2: b as u32,
                wished_log2: c as u32,
                errno: d as i32,
            },
            12 => Block::Exit {
                pid: a as u32,
                status: b as i32,
                start_time: c,
                mono_ns: d,
            },
            13 => Block::Command { argv: name },
            14 => Block::Message { text: name },
            15 => Block::Drain {
                nonce: a,
                ring_index: b as u32,
                wanted_log2: (b >> 32) as u32,
                overwritten: c,
                high_water: d,
            },
            17 => Block::SpanCost(SpanCost {
                span_ps: a,
                floor_ps: b,
            }),
            _ => Block::Level { ticks: a, mask: b },
        }
    }
}

/// Offsets of the blocks of `encoded` when they stand one behind the other.
fn offsets(encoded: &[Vec<u8>]) -> Vec<usize> {
    let ends = encoded.iter().scan(0, |end, block| {
        *end += block.len();
        Some(*end - block.len())
    });
    ends.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_kind_survives_the_round_trip(list in vec(fields(), 0..8)) {
        let body: Vec<u8> = list.iter().flat_map(Fields::encoded).collect();
        let mut damaged = 0;
        let found = blocks(&body, &mut damaged);
        prop_assert_eq!(damaged, 0);
        prop_assert_eq!(found.len(), list.len());
        for (found, fields) in found.iter().zip(&list) {
            let args = fields.args();
            prop_assert_eq!(found.block, Ok(fields.block(&args)));
        }
    }

    #[test]
    fn every_truncation_keeps_the_blocks_before_it(list in vec(fields(), 1..4)) {
        let encoded: Vec<_> = list.iter().map(Fields::encoded).collect();
        let body = encoded.concat();
        let whole = blocks(&body, &mut 0);
        let starts = offsets(&encoded);
        for len in 0..=body.len() {
            // Padding does not count: a block is whole when its payload is.
            let kept = whole.iter().zip(&starts).take_while(|(_, start)| {
                let header = &body[**start + 8..**start + 12];
                let payload = u32::from_le_bytes(header.try_into().unwrap()) as usize;
                *start + BLOCK_HEADER_LEN + payload <= len
            });
            let kept = kept.count();
            prop_assert_eq!(&blocks(&body[..len], &mut 0)[..], &whole[..kept]);
        }
    }

    #[test]
    fn flips_harm_only_the_blocks_they_hit(
        list in vec(fields(), 1..6),
        flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let encoded: Vec<_> = list.iter().map(Fields::encoded).collect();
        let mut body = encoded.concat();
        let mut hit = vec![false; body.len()];
        for (index, bit) in flips {
            let at = index.index(body.len());
            body[at] ^= 1 << bit;
            hit[at] = true;
        }
        let found = blocks(&body, &mut 0);
        for ((start, bytes), fields) in offsets(&encoded).into_iter().zip(&encoded).zip(&list) {
            if hit[start..start + bytes.len()].contains(&true) {
                continue;
            }
            let args = fields.args();
            let kept = found.iter().find(|found| found.offset == start);
            prop_assert_eq!(kept.map(|found| found.block), Some(Ok(fields.block(&args))));
        }
    }

    #[test]
    fn arbitrary_payloads_never_panic(kind in 0u16..20, payload in vec(any::<u8>(), 0..128)) {
        if let Ok(Block::Site(site)) = Block::decode(kind, &payload) {
            let _ = (site.args.iter().count(), site.constants.iter().count());
        }
    }
}

#[test]
fn a_flip_inside_a_block_is_noticed() {
    let block = Block::ProcessName { name: b"engine" };
    let mut buffer = [0; 64];
    let len = block.encode(&mut buffer).unwrap();
    for at in 0..BLOCK_HEADER_LEN + 8 {
        let mut damaged_bytes = 0;
        let mut body = buffer[..len].to_vec();
        body[at] ^= 1;
        assert_eq!(blocks(&body, &mut damaged_bytes), [], "byte {at}");
        assert!(damaged_bytes > 0);
    }
}

#[test]
fn names_are_cut_and_blocks_that_do_not_fit_are_refused() {
    let long = vec![b'x'; MAX_NAME_LEN + 1];
    let mut buffer = vec![0; MAX_BLOCK_LEN + 64];
    let len = Block::ProcessName { name: &long }
        .encode(&mut buffer)
        .unwrap();
    let found = blocks(&buffer[..len], &mut 0);
    let cut = Block::ProcessName {
        name: &long[..MAX_NAME_LEN],
    };
    assert_eq!(found[0].block, Ok(cut));
    for room in 0..len {
        assert_eq!(cut.encode(&mut buffer[..room]), None);
    }
    let argv = vec![0; MAX_BLOCK_LEN];
    assert_eq!(Block::Command { argv: &argv }.encode(&mut buffer), None);
}

#[test]
fn kinds_of_a_later_version_are_told_from_damaged_ones() {
    assert_eq!(Block::decode(18, b""), Err(BadBlock::UnknownKind(18)));
    assert_eq!(Block::decode(0, b""), Err(BadBlock::UnknownKind(0)));
    for kind in 1..=BlockKind::SpanCost as u16 {
        assert_eq!(Block::decode(kind, b"x"), Err(BadBlock::Payload(kind)));
    }
    // Fields that a later version adds behind those of version 1 are ignored.
    assert!(Block::decode(BlockKind::Level as u16, &[0; 40]).is_ok());
}
