//! A container's 64 MiB of shared memory and forty threads: rings shrink, all record, nobody dies.

use ringscope_tests::judge::Terms;
use ringscope_tests::mounts::Mount;
use ringscope_tests::not_run::is_root;
use ringscope_tests::programs::{command, recorded, runs_in, writer};
use ringscope_tests::run_files::RunFiles;
use ringscope_tests::scenarios::judge_counts;

#[test]
fn rings_shrink_to_what_there_is() {
    if !is_root("a mount of 64 MiB") {
        return;
    }
    let mount = Mount::new("tmpfs", "size=64m");
    let output = command(&writer())
        .args(["numbered", "threads=40", "cycles=100", "begun-after=16"])
        .env("RINGSCOPE_DIR", mount.path())
        .env("RINGSCOPE_RING_SIZE", "4MiB")
        .output()
        .expect("the writer starts");
    assert!(output.status.success(), "{output:?}");
    let run = &runs_in(mount.path())[0];
    let said = recorded(&output);
    assert_eq!(said.len(), 40);
    judge_counts(run, Terms::default(), &said).assert_sound();

    let files = RunFiles::read(run).expect("the run can be read");
    let process = &files.processes[0];
    assert_eq!(process.rings.len(), 40);
    let sizes = &process.tables.ring_sizes;
    assert!(
        sizes
            .values()
            .all(|(got, wished)| *wished == 17 && got < wished),
        "{sizes:?}"
    );
    let bytes: u64 = process
        .rings
        .iter()
        .map(|ring| ring.file.file().len())
        .sum();
    assert!(
        bytes <= 16 << 20,
        "rings of {bytes} bytes take more than a quarter"
    );
}
