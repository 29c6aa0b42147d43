//! What the fuzz targets share: a file to put inputs in, the golden run, and check sums made right.

#[path = "../../tests/golden_run.rs"]
pub mod golden_run;
#[path = "../../tests/seal.rs"]
pub mod seal;

use std::fs;
use std::path::{Path, PathBuf};

/// Writes `bytes` to this process's own file in memory; its path.
pub fn file_with(bytes: &[u8]) -> PathBuf {
    let path = PathBuf::from(format!("/dev/shm/ringscope-fuzz-{}", std::process::id()));
    fs::write(&path, bytes).expect("/dev/shm can be written");
    path
}

/// The golden run, copied to memory.
pub fn golden_run() -> golden_run::GoldenRun {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    golden_run::GoldenRun::copy(&tests, "fuzz")
}
