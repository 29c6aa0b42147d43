//! The golden run with one of its files replaced, decoded in every way there is.

use std::fs;
use std::path::{Path, PathBuf};

use ringscope_decode::{Limits, Options, Order, Run, TimeBase, Timeline, chrome, inspect, stats};
use ringscope_ringbuf::file::FileName;

use crate::seal::seal;

/// The golden run, copied to memory.
pub struct GoldenRun {
    dir: PathBuf,
    files: Vec<(FileName, Vec<u8>)>,
}

impl GoldenRun {
    /// Copies the golden run below `tests`, the folder of the tests, to a directory that is called by this process's
    /// id and `name`.
    ///
    /// # Panics
    ///
    /// When it is not there, or /dev/shm can't be written.
    pub fn copy(tests: &Path, name: &str) -> GoldenRun {
        let golden = tests.join("golden/v1/every-kind");
        let dir = format!("/dev/shm/ringscope-hostile-{}-{name}", std::process::id());
        let dir = PathBuf::from(dir);
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

    /// Where the copy lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Name and bytes of the files, in the order of their names' bytes.
    pub fn files(&self) -> &[(FileName, Vec<u8>)] {
        &self.files
    }

    /// Decodes the run with `bytes` in the place of file `index`, check sums made right where `sealed` says so; the
    /// trace in time order, or `None` when the run is refused as a whole.
    ///
    /// # Panics
    ///
    /// When the decoder does, or gives two answers, or no JSON.
    pub fn trace_with(&self, index: usize, mut bytes: Vec<u8>, sealed: bool) -> Option<Vec<u8>> {
        let (name, original) = &self.files[index % self.files.len()];
        if sealed {
            seal(name.kind, &mut bytes);
        }
        let path = self.dir.join(name.to_string());
        fs::write(&path, &bytes).expect("/dev/shm can be written");
        let trace = trace(&self.dir);
        fs::write(&path, original).expect("/dev/shm can be written");
        trace
    }
}

impl Drop for GoldenRun {
    fn drop(&mut self) {
        // Left over where this fails; nothing depends on it.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Everything that a reader does with a run; `None` when it is refused as a whole.
fn trace(dir: &Path) -> Option<Vec<u8>> {
    let runs = [Run::open(dir, &Limits::default()).ok()?];
    let options = Options {
        time_base: TimeBase::Monotonic,
        ..Options::default()
    };
    let timeline = Timeline::build(&runs, &options).ok()?;
    stats::table(&timeline, &stats::Options::default()).ok()?;
    // Refused where the run is; what matters is that it comes back.
    let _ = inspect::report(&runs, 5);
    let write = |order| {
        let mut out = Vec::new();
        chrome::write(&timeline, order, &mut out, &|_done| {}).expect("a vector takes everything");
        out
    };
    let (by_time, by_lane) = (write(Order::Time), write(Order::Lane));
    serde_json::from_slice::<serde_json::Value>(&by_lane).expect("the trace by lane is JSON");
    Some(by_time)
}
