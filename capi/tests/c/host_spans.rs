//! Spans of another logger's structure.

use ringscope_ringbuf::layout::Kind;

use crate::recorded::{Process, only_run, processes};
use crate::toolchain::{Language, compiled, recording, succeeded};

fn recorded(language: Language, settings: &[(&str, &str)]) -> Process {
    let dir = tempfile::tempdir().unwrap();
    let (binary, runs) = (dir.path().join("program"), dir.path().join("runs"));
    compiled(language, "host_spans.c", &binary);
    let output = succeeded(recording(&binary, &runs).envs(settings.iter().copied()));
    assert_eq!(output.stdout, b"20003 8\n");
    processes(&only_run(&runs)).remove(0)
}

const LARGE: (&str, &str) = ("RINGSCOPE_RING_SIZE", "8MiB");

#[test]
fn spans_are_forwarded_and_what_is_none_is_refused() {
    for language in Language::all() {
        let process = recorded(language, &[LARGE]);
        let texts = process.texts();
        assert_eq!(
            texts[..2],
            [
                "chip.run inv=7u hid=0xabcd depth=2 ntensor=4 why='a=b' id='007' \
                 big=18446744073709551615u flag='' low=-3",
                "longer inv=7u hid=0xabcd depth=2",
            ]
        );
        assert!(
            texts[2].starts_with("long inv=7u hid=0xabcd depth=2 text="),
            "{}",
            texts[2]
        );
        let records = &process.rings[0].records;
        let kind = |at: usize| Kind::from_u8(records[at].record.kind_number());
        assert_eq!(kind(0), Some(Kind::SpanNs));
        let of_first = &records[0].record;
        assert_eq!((of_first.start(), of_first.duration()), (5000, 250));
        let site = &process.sites[&of_first.site()];
        assert_eq!((&site.category[..], site.level), ("strace", 2));
        let counted = |cause: &str| process.drops[cause];
        assert_eq!((counted("refused_span"), counted("value_cut")), (8, 1));
        // Past the cap a span is recorded under the name of all of them.
        let placeholders = texts.iter().filter(|text| text.starts_with("(host span) "));
        assert_eq!(placeholders.count() as u64, counted("name_cap"));
        assert_eq!(texts.len(), 20_003);
    }
}

#[test]
fn values_are_kept_out_where_they_may_not_be_recorded() {
    let process = recorded(Language::all()[0], &[LARGE, ("RINGSCOPE_ARGS", "off")]);
    assert_eq!(process.texts()[..2], ["chip.run", "longer"]);
}
