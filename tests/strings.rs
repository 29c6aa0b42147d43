//! Every string that breaks importers, in every place that takes one: valid JSON, and the right text.

use ringscope_tests::programs::{Medium, command, new_dir, runs_in, writer};
use ringscope_tests::texts::texts;
use ringscope_tests::traces::trace_of;

#[test]
fn strings_of_every_kind_come_out_right() {
    let dir = new_dir(Medium::Memory);
    let status = command(&writer())
        .arg("strings")
        .env("RINGSCOPE_DIR", dir.path())
        .status()
        .expect("the writer starts");
    assert!(status.success());
    let trace = trace_of(&runs_in(dir.path())[0]);
    let len = |event: &serde_json::Value| event["name"].as_str().map_or(0, str::len);
    for (n, t) in texts().iter().enumerate() {
        for e in trace.events() {
            if e["args"]["kind"] == "name" && e["args"]["n"] == n {
                println!("{n} {} {}", t.len(), len(e));
            }
        }
    }
    assert!(!trace.timeline.losses.any(), "{:?}", trace.timeline.losses);

    let of_kind = |kind: &str, n: usize| {
        let by_kind = trace.events().iter().filter(|event| match kind {
            "name" => event["args"]["kind"] == "name",
            other => event["name"] == other,
        });
        let mut found = by_kind.filter(|event| event["args"]["n"] == n);
        found.next().unwrap_or_else(|| panic!("{kind} {n}"))
    };
    for (n, bytes) in texts().iter().enumerate() {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(of_kind("name", n)["name"], text.as_ref());
        let value = of_kind("value", n);
        assert_eq!(value["args"]["text"], text.as_ref());
        assert_eq!(value["args"]["late"], text.as_ref());
        // A row without a name gets one.
        let row = |kind| trace.row_of(of_kind(kind, n));
        assert!(
            text.is_empty() || row("on track") == Some(&text),
            "track {n}"
        );
        if std::str::from_utf8(bytes).is_ok() {
            let key = of_kind("key", n);
            assert_eq!(key["args"][text.as_ref()], n, "{key}");
            assert!(
                text.is_empty() || row("on thread") == Some(&text),
                "thread {n}"
            );
        }
    }
    let process = trace
        .named("process_name")
        .next()
        .expect("the process has a name");
    assert_eq!(process["args"]["name"], "quoted \" name \\");
}
