//! Kernel launches, and what devices did.

use ringscope_ringbuf::layout::Kind;

use crate::recorded::{Process, only_run, processes};
use crate::toolchain::{Language, compiled, recording, succeeded};

const RECORDED: [&str; 8] = [
    "matmul parent=70u step=0u",
    "matmul",
    "matmul on stream 3",
    "upload bytes=4096u",
    "graph",
    "graph on stream 0",
    "task 10 by register 3",
    "task 11 by register 4",
];

fn recorded(language: Language) -> Process {
    let dir = tempfile::tempdir().unwrap();
    let (binary, runs) = (dir.path().join("program"), dir.path().join("runs"));
    compiled(language, "launches.c", &binary);
    let output = succeeded(&mut recording(&binary, &runs));
    // Two places of four were empty, and the launch had an id.
    assert_eq!(output.stdout, b"2 1\n");
    processes(&only_run(&runs)).remove(0)
}

#[test]
fn launches_waits_executions_and_tasks() {
    for language in Language::all() {
        let process = recorded(language);
        assert_eq!(process.texts(), RECORDED, "{language:?}");
        assert_eq!(process.counted(), [("empty_task", 2)]);
        let records = &process.rings[0].records;
        let kinds: Vec<Kind> = records
            .iter()
            .map(|entry| Kind::from_u8(entry.record.kind_number()).unwrap())
            .collect();
        assert_eq!(kinds[..3], [Kind::Launch, Kind::Wait, Kind::DeviceSpan]);
        let of_matmul = &records[..3];
        assert!(of_matmul.iter().all(|entry| entry.record.w[2] == 77));
        let site = &process.sites[&records[0].record.site()];
        let all = [
            "kind='kernel'",
            "device=1u",
            "stream=3u",
            "rank=0u",
            "block_dim=24u",
        ];
        assert_eq!(site.constants, all);
        let upload = &process.sites[&records[3].record.site()];
        assert_eq!(
            upload.constants,
            ["kind='memcpy HtoD'", "device=0u", "stream=0u"]
        );
    }
}
