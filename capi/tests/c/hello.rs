//! The program that the README opens with.

use std::path::Path;

use crate::recorded::{only_run, processes};
use crate::toolchain::{
    CAPI, Compile, Language, Linkage, compile, compile_by, has_program, prefix, quiet, recording,
    succeeded,
};

/// What a program has that is built by CMake.
const CMAKE_LISTS: &str = "
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(ringscope 0.1 REQUIRED)
add_executable(shared hello.c)
target_link_libraries(shared PRIVATE ringscope::ringscope)
add_executable(static hello.c)
target_link_libraries(static PRIVATE ringscope::static)
";

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
    for language in Language::all() {
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
fn clang_compiles_it_too() {
    for (compiler, language) in [("clang", Language::C), ("clang++", Language::Cpp)] {
        if !has_program(compiler, "the header by another compiler") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hello");
        let what = Compile {
            language,
            source: Path::new(CAPI).join("examples/hello.c"),
            options: &["-O2"],
            linkage: Linkage::Shared,
        };
        compile_by(compiler, &what, &program);
        let runs = dir.path().join("runs");
        succeeded(&mut recording(&program, &runs));
        check(&only_run(&runs), language);
    }
}

#[test]
fn cmake_finds_both_libraries() {
    if !has_program("cmake", "the CMake config") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let build = dir.path().join("build");
    let hello = Path::new(CAPI).join("examples/hello.c");
    std::fs::copy(hello, dir.path().join("hello.c")).unwrap();
    std::fs::write(dir.path().join("CMakeLists.txt"), CMAKE_LISTS).unwrap();
    let mut configure = quiet(Path::new("cmake"));
    configure.arg("-S").arg(dir.path()).arg("-B").arg(&build);
    let where_installed = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    succeeded(configure.arg(where_installed));
    succeeded(quiet(Path::new("cmake")).arg("--build").arg(&build));
    for program in ["shared", "static"] {
        let runs = dir.path().join(program);
        succeeded(&mut recording(&build.join(program), &runs));
        check(&only_run(&runs), Language::C);
    }
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
    for language in Language::all() {
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
