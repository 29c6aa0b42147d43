//! Values, names, tracks, configuration.

use std::path::Path;

use crate::recorded::{Process, only_run, processes};
use crate::toolchain::{
    Compile, Language, Linkage, compile, compiled, program, quiet, recording, succeeded,
};

/// Compiles and runs one of the programs; its only process.
fn recorded(language: Language, name: &str, dir: &Path, settings: &[(&str, &str)]) -> Process {
    let (binary, runs) = (dir.join("program"), dir.join("runs"));
    compiled(language, name, &binary);
    succeeded(recording(&binary, &runs).envs(settings.iter().copied()));
    let mut processes = processes(&only_run(&runs));
    assert_eq!(processes.len(), 1);
    processes.remove(0)
}

const VALUES: [&str; 34] = [
    "signed a=-1 b=-2 c=-3 d=-9223372036854775808",
    "unsigned e=1u f=2u g=3u h=18446744073709551615u",
    "float x=0.5 y=-1e300",
    "bool yes=true",
    "two bools yes=true no=false",
    "texts empty='' array='text' null='(null)' part='ab'",
    "addresses p=0x1000 q=0xff",
    "signed = -3",
    "float = 1.5",
    "bool = true",
    "inline text=230 of 230 bytes",
    "long text=231 of 231 bytes n=1",
    "long complete text=1000 of 1000 bytes",
    "longest text=16384 of 30000 bytes n=2 late=3",
    "late n=1 text='abc' i=0 i=1 i=2 i=3 i=4 i=5 i=6 i=7 i=8 i=9 i=10 i=11 yes=true",
    "run-time 0",
    "run-time 0 = 0 on track",
    "run-time 0",
    "run-time 0 i=0",
    "run-time 1",
    "run-time 1 = 1 on track",
    "run-time 1",
    "run-time 1 i=1",
    "\u{FFFD} invalid",
    "complete n=1",
    "tracked n=1 on track",
    "first n=1",
    "second",
    "nested depth=1",
    "nested depth=2",
    "nested depth=3",
    "nested depth=4",
    "nested depth=5",
    "nested depth=6",
];

#[test]
fn every_value_and_name_is_there() {
    for language in Language::all() {
        let dir = tempfile::tempdir().unwrap();
        let process = recorded(language, "values.c", dir.path(), &[]);
        let texts = process.texts();
        for (text, expected) in texts.iter().zip(VALUES) {
            assert_eq!(*text, expected, "{language:?}");
        }
        assert_eq!(texts.len(), VALUES.len() + 64);
        assert_eq!(process.name.as_deref(), Some("values"));
        assert!(process.rings[0].open.is_empty());
        // One text is cut; of 70 nested spans 6 found no open slot.
        let mut counted = process.counted();
        counted.sort_unstable();
        assert_eq!(counted, [("not_shown_while_open", 6), ("value_cut", 1)]);
        let complete = process.rings[0]
            .records
            .iter()
            .find(|entry| entry.text == "complete n=1");
        let record = complete.unwrap().record;
        assert_eq!((record.start(), record.duration()), (1000, 500));
    }
}

/// What a record without values is shown as.
fn without_values(text: &str) -> String {
    let is_value = |word: &&str| word.find('=').is_some_and(|at| at > 0);
    let name: Vec<&str> = text.split(' ').take_while(|word| !is_value(word)).collect();
    let track = match text.contains('=') && text.ends_with(" on track") && !text.contains(" = ") {
        true => " on track",
        false => "",
    };
    name.join(" ") + track
}

#[test]
fn values_can_be_kept_out() {
    for language in Language::all() {
        let dir = tempfile::tempdir().unwrap();
        let settings = [("RINGSCOPE_ARGS", "off")];
        let process = recorded(language, "values.c", dir.path(), &settings);
        for (text, expected) in process.texts().iter().zip(VALUES) {
            assert_eq!(*text, without_values(expected), "{language:?}");
        }
        // Nothing was there to be cut.
        assert_eq!(process.counted(), [("not_shown_while_open", 6)]);
    }
}

#[test]
fn configuration_by_code_and_levels() {
    for language in Language::all() {
        let dir = tempfile::tempdir().unwrap();
        let (binary, runs) = (dir.path().join("program"), dir.path().join("runs"));
        compiled(language, "setup.c", &binary);
        succeeded(quiet(&binary).arg(&runs).env("RINGSCOPE_FORCE_DIR", "1"));
        let processes = processes(&only_run(&runs));
        assert_eq!(processes.len(), 1);
        assert_eq!(processes[0].texts(), ["kernel", "verbose"]);
        let header = &processes[0].header;
        assert_eq!((header.rank.get(), header.ring_bytes.get()), (3, 64 << 10));
        assert!(header.process_name.starts_with(b"configured\0"));
    }
}

#[test]
fn armed_but_off_makes_files_and_no_ring() {
    let dir = tempfile::tempdir().unwrap();
    let process = recorded(
        Language::C,
        "values.c",
        dir.path(),
        &[("RINGSCOPE_LEVEL", "off")],
    );
    assert!(process.rings.is_empty() && process.ended_cleanly);
}

#[test]
fn the_first_record_is_held_to_the_level_too() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("RINGSCOPE_LEVEL", "kernel")];
    let process = recorded(Language::C, "full.c", dir.path(), &settings);
    assert!(process.texts().is_empty() && process.ended_cleanly);
}

#[test]
fn exceptions_end_their_spans() {
    let dir = tempfile::tempdir().unwrap();
    if !Language::all().contains(&Language::Cpp) {
        return;
    }
    let process = recorded(Language::Cpp, "exceptions.cc", dir.path(), &[]);
    let expected = [
        "generic value=1",
        "generic value=2.5",
        "generic value='literal'",
        "generic value='a string'",
        "generic value='a view'",
        "lambda value=true",
        "lambda value=97",
        "phase",
        "throws depth=0",
        "phase",
        "throws depth=1",
        "phase",
        "throws depth=2",
        "in a destructor",
        "catches",
        "caught",
    ];
    assert_eq!(process.texts(), expected);
    assert!(process.rings[0].open.is_empty());
    assert_eq!(process.counted(), []);
}

#[test]
fn code_without_thread_local_storage_records_the_same() {
    for language in Language::all() {
        let dir = tempfile::tempdir().unwrap();
        let (binary, runs) = (dir.path().join("program"), dir.path().join("runs"));
        let what = Compile {
            language,
            source: program("values.c"),
            options: &["-O2", "-DRINGSCOPE_NO_TLS"],
            linkage: Linkage::Shared,
        };
        compile(&what, &binary);
        succeeded(&mut recording(&binary, &runs));
        let processes = processes(&only_run(&runs));
        let texts = processes[0].texts();
        assert_eq!(texts[..VALUES.len()], VALUES);
        let mut symbols = std::process::Command::new("objdump");
        let symbols = succeeded(symbols.arg("-T").arg(&binary)).stdout;
        assert!(
            !String::from_utf8(symbols)
                .unwrap()
                .contains("ringscope_tls")
        );
    }
}
