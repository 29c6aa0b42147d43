//! The golden run as a directory of this process's own, one file of which an input replaces, and its trace.

use std::fs;
use std::path::{Path, PathBuf};

use ringscope_decode::{Limits, Options, Order, Run, Timeline, chrome, inspect, stats};
use ringscope_ringbuf::file::{FileKind, FileName};
use ringscope_ringbuf::layout::{
    LOCK_MAGIC, LOCK_STATIC_LEN, PROCESS_HEADER_LEN, PROCESS_MAGIC, RING_MAGIC, RING_STATIC_LEN,
    SEGMENTS_HEADER_LEN, SEGMENTS_MAGIC,
};

use crate::{seal_blocks, seal_header, seal_segments};

/// The golden run, copied to memory.
pub struct GoldenRun {
    dir: PathBuf,
    files: Vec<(FileName, Vec<u8>)>,
}

impl GoldenRun {
    /// Copies the golden run.
    pub fn copy() -> GoldenRun {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1/every-kind");
        let dir = PathBuf::from(format!(
            "/dev/shm/ringscope-fuzz-{}-run",
            std::process::id()
        ));
        fs::create_dir_all(&dir).expect("/dev/shm can be written");
        let mut files = Vec::new();
        for entry in fs::read_dir(golden).expect("the golden run is there") {
            let path = entry.expect("the golden run can be read").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let bytes = fs::read(&path).expect("the golden run can be read");
            if let Some(name) = name.and_then(FileName::parse) {
                fs::write(dir.join(name.to_string()), &bytes).expect("/dev/shm can be written");
                files.push((name, bytes));
            }
        }
        files.sort_by_key(|(name, _)| name.to_string());
        GoldenRun { dir, files }
    }

    /// Name and bytes of the files, in the order of their names' bytes, as `ci/fuzz` numbers them.
    pub fn files(&self) -> &[(FileName, Vec<u8>)] {
        &self.files
    }

    /// Decodes the run with `bytes`, check sums made right, in the place of file `index`; the trace in time order.
    pub fn trace_with(&self, index: usize, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (name, original) = &self.files[index % self.files.len()];
        seal(name.kind, &mut bytes);
        let path = self.dir.join(name.to_string());
        fs::write(&path, &bytes).expect("/dev/shm can be written");
        let trace = trace(&self.dir);
        fs::write(&path, original).expect("/dev/shm can be written");
        trace
    }
}

/// Everything that a reader does with a run; `None` when it is refused as a whole.
fn trace(dir: &Path) -> Option<Vec<u8>> {
    let runs = [Run::open(dir, &Limits::default()).ok()?];
    let timeline = Timeline::build(&runs, &Options::default()).ok()?;
    stats::table(&timeline, &stats::Options::default()).ok()?;
    let _ = inspect::report(&runs, 5);
    let write = |order| {
        let mut out = Vec::new();
        chrome::write(&timeline, order, &mut out, &|_done| {}).expect("a vector takes everything");
        out
    };
    let (by_time, by_lane) = (write(Order::Time), write(Order::Lane));
    assert_eq!(
        by_time,
        write(Order::Time),
        "the same time line, other bytes"
    );
    serde_json::from_slice::<serde_json::Value>(&by_lane).expect("the trace by lane is JSON");
    Some(by_time)
}

fn seal(kind: FileKind, bytes: &mut [u8]) {
    let (magic, len) = match kind {
        FileKind::Process => (PROCESS_MAGIC, PROCESS_HEADER_LEN),
        FileKind::Lock => (LOCK_MAGIC, LOCK_STATIC_LEN),
        FileKind::Ring => (RING_MAGIC, RING_STATIC_LEN),
        FileKind::Drain | FileKind::Spill => (SEGMENTS_MAGIC, SEGMENTS_HEADER_LEN),
        FileKind::Off => return,
    };
    seal_header(bytes, magic, len);
    match (kind, bytes.get_mut(len..)) {
        (FileKind::Process, Some(body)) => seal_blocks(body),
        (FileKind::Drain | FileKind::Spill, Some(body)) => seal_segments(body),
        _ => {}
    }
}
