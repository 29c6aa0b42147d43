//! The program that the README opens with.

use std::path::Path;

use crate::recorded::{only_run, processes};
use crate::toolchain::{
    CAPI, Compile, Language, Linkage, compile, prefix, quiet, recording, succeeded,
};

fn hello(language: Language, optimise: &str, linkage: Linkage, output: &Path) {
    let what = Compile {
        language,
        source: Path::new(CAPI).join("examples/hello.c"),
        options: &[optimise],
        linkage,
    };
    compile(&what, output);
}

const RECORDED: [&str; 17] = [
    "request.queued prompt_tokens=4",
    "multiply",
    "embed",
    "multiply",
    "kv_pages_free = 100",
    "attention",
    "decode_step step=0 greedy=1 token=105u",
    "multiply",
    "embed",
    "multiply",
    "kv_pages_free = 99",
    "attention",
    "decode_step step=1 greedy=1 token=105u",
    "multiply",
    "embed",
    "multiply",
    "kv_pages_free = 98",
];

#[test]
fn the_readme_opens_with_the_example() {
    let read = |name: &str| std::fs::read_to_string(Path::new(CAPI).join(name)).unwrap();
    let readme = read("README.md");
    let program = readme.split("```c\n").nth(1).unwrap().split("```").next();
    assert_eq!(program, Some(read("examples/hello.c").as_str()));
    let prose = readme.split("```").next().unwrap();
    assert!(prose.len() < 400, "the program comes first");
}

#[test]
fn hello_records_the_same_in_both_languages_and_linkages() {
    for language in Language::ALL {
        for (optimise, linkage) in [
            ("-O0", Linkage::Shared),
            ("-O2", Linkage::Shared),
            ("-O2", Linkage::Static),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("hello");
            hello(language, optimise, linkage, &program);
            let runs = dir.path().join("runs");
            let output = succeeded(&mut recording(&program, &runs));
            let run = only_run(&runs);
            let said = String::from_utf8(output.stdout).unwrap();
            assert_eq!(said, format!("recorded to: {}\n", run.display()));
            check(&run, language);
        }
    }
}

fn check(run: &Path, language: Language) {
    let processes = processes(run);
    let [process] = &processes[..] else {
        panic!("{} processes", processes.len())
    };
    // `true` has type int in C.
    let expected: Vec<String> = RECORDED
        .iter()
        .map(|text| match language {
            Language::C => text.to_string(),
            Language::Cpp => text.replace("greedy=1", "greedy=true"),
        })
        .collect();
    let texts = process.texts();
    assert_eq!(texts[..RECORDED.len()], expected);
    let end = &texts[texts.len() - 2..];
    assert_eq!(
        end,
        ["all steps", "request id=17 user='Zoë' temperature=0.5"]
    );
    let step = process
        .sites
        .values()
        .find(|site| site.name == "decode_step");
    let step = step.unwrap();
    assert_eq!((step.category.as_str(), step.level), ("worker", 2));
    assert!(step.line > 10);
    assert_eq!(process.threads.values().collect::<Vec<_>>(), ["decoder"]);
    assert_eq!(process.counted(), []);
    assert!(process.ended_cleanly && process.rings[0].open.is_empty());
}

#[test]
fn hello_is_silent_and_leaves_nothing_when_nothing_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("hello");
    hello(Language::C, "-O2", Linkage::Shared, &program);
    let output = succeeded(
        quiet(&program)
            .current_dir(dir.path())
            .env("TMPDIR", dir.path()),
    );
    assert_eq!(output.stdout, b"recorded to: nowhere\n");
    assert_eq!(output.stderr, b"");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn disabled_needs_no_library_and_has_no_trace_of_it() {
    for language in Language::ALL {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hello");
        let what = Compile {
            language,
            source: Path::new(CAPI).join("examples/hello.c"),
            options: &["-O2", "-DRINGSCOPE_DISABLE"],
            linkage: Linkage::None,
        };
        compile(&what, &program);
        let output = succeeded(&mut recording(&program, &dir.path().join("runs")));
        assert_eq!(output.stdout, b"recorded to: nowhere\n");
        let binary = std::fs::read(&program).unwrap();
        let traces = binary.windows(10).filter(|w| *w == b"ringscope_").count();
        assert_eq!(traces, 0, "symbols or strings of the library");
    }
}

#[test]
fn cmake_config_and_libraries_are_installed() {
    for file in [
        "lib/cmake/ringscope/ringscope-config.cmake",
        "lib/cmake/ringscope/ringscope-config-version.cmake",
        "lib/libringscope.so.1",
        "lib/libringscope.a",
        "include/ringscope.h",
    ] {
        assert!(prefix().join(file).exists(), "{file}");
    }
}
