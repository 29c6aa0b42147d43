//! One gzip member, compressed by several threads: many readers stop at the end of a file's first member.
//!
//! The input is cut into blocks of a fixed size, each compressed on its own and ended by a sync flush, so that its
//! bits end with a byte; the blocks stand one behind the other in one deflate stream. What comes out is the same
//! whatever the number of threads.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Input bytes that are compressed on their own: 32 windows of deflate, so what a block can't see of the one before it
/// hardly counts.
const BLOCK_LEN: usize = 1 << 20;
/// Blocks that wait or are worked on per thread.
const BLOCKS_PER_THREAD: usize = 2;
/// Magic, deflate, no flags, no time, fastest, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// An empty block of fixed codes, marked as the last.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Compresses what is written to it into `out`. Memory is bounded: some blocks a thread.
///
/// The member is whole only after [`GzipWriter::finish`].
#[derive(Debug)]
pub struct GzipWriter<W: Write> {
    out: W,
    /// Block that is being filled.
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// Blocks ever given to workers; block *n* is of worker *n* modulo their number, which keeps the order.
    given: usize,
    /// Blocks taken back.
    taken: usize,
    crc: crc32fast::Hasher,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Worker {
    blocks: SyncSender<Vec<u8>>,
    done: Receiver<Compressed>,
}

#[derive(Debug)]
struct Compressed {
    /// The input, to be used again.
    block: Vec<u8>,
    bytes: io::Result<Vec<u8>>,
    crc: crc32fast::Hasher,
}

impl<W: Write> GzipWriter<W> {
    /// Starts a member in `out`, compressed at `level` (1 fast to 9 small) by `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// When `out` fails or the system has no room for the threads.
    pub fn new(mut out: W, level: u32, threads: usize) -> io::Result<GzipWriter<W>> {
        out.write_all(&HEADER)?;
        let workers = (0..threads.max(1)).map(|_| Worker::start(level));
        Ok(GzipWriter {
            out,
            block: Vec::with_capacity(BLOCK_LEN),
            workers: workers.collect::<io::Result<_>>()?,
            given: 0,
            taken: 0,
            crc: crc32fast::Hasher::new(),
            spare: Vec::new(),
        })
    }

    /// Ends the member; `out`, with all of it written.
    ///
    /// # Errors
    ///
    /// When `out` fails.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.give_block()?;
        }
        while self.taken < self.given {
            self.take_block()?;
        }
        self.out.write_all(&LAST_BLOCK)?;
        // The format keeps the length modulo 2^32.
        let len_bytes = self.crc.total_len() as u32;
        let crc = self.crc.finalize();
        self.out.write_all(&crc.to_le_bytes())?;
        self.out.write_all(&len_bytes.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Where the member goes.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Gives the block to the worker whose turn it is, after taking back what would be one too many.
    fn give_block(&mut self) -> io::Result<()> {
        if self.given - self.taken >= self.workers.len() * BLOCKS_PER_THREAD {
            self.take_block()?;
        }
        let spare = self.spare.pop().unwrap_or_default();
        let block = std::mem::replace(&mut self.block, spare);
        let worker = &self.workers[self.given % self.workers.len()];
        worker.blocks.send(block).map_err(|_| thread_is_gone())?;
        self.given += 1;
        Ok(())
    }

    /// Waits for the oldest block and writes it.
    fn take_block(&mut self) -> io::Result<()> {
        let worker = &self.workers[self.taken % self.workers.len()];
        let mut done = worker.done.recv().map_err(|_| thread_is_gone())?;
        self.taken += 1;
        self.out.write_all(&done.bytes?)?;
        self.crc.combine(&done.crc);
        done.block.clear();
        self.spare.push(done.block);
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_LEN - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK_LEN {
            self.give_block()?;
        }
        Ok(taken)
    }

    /// Writes what is compressed already; the blocks in work stay there, since where a block ends must not depend on
    /// who flushes.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Worker {
    fn start(level: u32) -> io::Result<Worker> {
        let (blocks, waiting) = sync_channel::<Vec<u8>>(BLOCKS_PER_THREAD);
        let (finished, done) = sync_channel(BLOCKS_PER_THREAD);
        let work = move || {
            let mut deflate = Compress::new(Compression::new(level), false);
            // Both ends go with the writer: dropped, it ends the thread.
            for block in waiting {
                if finished.send(compress(&mut deflate, block)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("ringscope-gzip".to_owned())
            .spawn(work)?;
        Ok(Worker { blocks, done })
    }
}

fn thread_is_gone() -> io::Error {
    io::Error::other("the thread that compresses ended early")
}

fn compress(deflate: &mut Compress, block: Vec<u8>) -> Compressed {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&block);
    Compressed {
        bytes: deflate_block(deflate, &block),
        block,
        crc,
    }
}

/// The block as deflate blocks of its own, the last of them empty and ending with a byte.
fn deflate_block(deflate: &mut Compress, block: &[u8]) -> io::Result<Vec<u8>> {
    deflate.reset();
    let mut bytes = Vec::with_capacity(block.len() / 4 + 64);
    loop {
        let done = deflate.total_in() as usize;
        let status = deflate.compress_vec(&block[done..], &mut bytes, FlushCompress::Sync)?;
        // Room that is left says that nothing is held back.
        let is_whole = deflate.total_in() == block.len() as u64 && bytes.len() < bytes.capacity();
        match status {
            Status::Ok | Status::BufError if is_whole => return Ok(bytes),
            Status::Ok | Status::BufError => bytes.reserve(bytes.capacity() / 2),
            Status::StreamEnd => {
                return Err(io::Error::other("deflate ended a stream that goes on"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8], threads: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), 1, threads).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    /// Reads one member and asserts that nothing stands behind it.
    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reader = GzDecoder::new(bytes);
        reader.read_to_end(&mut out).unwrap();
        assert!(reader.into_inner().is_empty(), "more than one member");
        out
    }

    /// Bytes that deflate can't shrink.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn lengths_around_a_block_come_back_and_threads_change_nothing() {
        for len in [
            0,
            1,
            BLOCK_LEN - 1,
            BLOCK_LEN,
            BLOCK_LEN + 1,
            2 * BLOCK_LEN + 5,
        ] {
            let text: Vec<u8> = (0..len).map(|i| b"span,dur:"[i * i % 9]).collect();
            for bytes in [text, noise(len)] {
                let one = gzip(&bytes, 1);
                assert!(gunzip(&one) == bytes, "{len} bytes");
                assert!(one == gzip(&bytes, 3), "{len} bytes, three threads");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_come_back_as_they_were_written(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..40)) {
            let mut writer = GzipWriter::new(Vec::new(), 1, 2).unwrap();
            for piece in &pieces {
                writer.write_all(piece).unwrap();
                writer.flush().unwrap();
            }
            prop_assert_eq!(gunzip(&writer.finish().unwrap()), pieces.concat());
        }
    }

    #[test]
    fn a_full_output_is_told() {
        struct Disk {
            room: usize,
        }
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let room = self.room.checked_sub(bytes.len());
                self.room = room.ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = GzipWriter::new(Disk { room: BLOCK_LEN }, 1, 1).unwrap();
        let error = writer.write_all(&noise(8 * BLOCK_LEN)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
