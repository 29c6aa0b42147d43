//! The library as `install.sh` installs it, and the compilers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub(crate) const CAPI: &str = env!("CARGO_MANIFEST_DIR");
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];

/// A language that the header is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Cpp,
}

impl Language {
    /// Those that there is a compiler for.
    pub(crate) fn all() -> Vec<Language> {
        let mut all = vec![Language::C];
        if has_program("g++", "the header in C++") {
            all.push(Language::Cpp);
        }
        all
    }

    fn compiler(self) -> &'static str {
        match self {
            Language::C => "gcc",
            Language::Cpp => "g++",
        }
    }

    fn command(self, compiler: &str) -> Command {
        let options = match self {
            Language::C => ["-std=c11", "-xc"],
            Language::Cpp => ["-std=c++17", "-xc++"],
        };
        let mut command = Command::new(compiler);
        command.args(options).args(WARNINGS);
        command
    }
}

/// True when the command `program` is there; otherwise it is told that `what` is not tested. Goes to standard error
/// itself, since test harnesses hide what passing tests print.
pub(crate) fn has_program(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "not run here: {what}, because {program} is not installed"
        );
    }
    found
}

/// What to compile, and how.
pub(crate) struct Compile<'a> {
    pub(crate) language: Language,
    pub(crate) source: PathBuf,
    pub(crate) options: &'a [&'a str],
    pub(crate) linkage: Linkage,
}

/// How a program gets the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    Shared,
    Static,
    None,
}

/// Path of a program of these tests.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(CAPI).join("tests/c/programs").join(name)
}

/// The folder that everything was installed under, once for all tests.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
        // Cargo leaves the libraries beside the test.
        let test = std::env::current_exe().unwrap();
        let libraries = test.parent().unwrap();
        let mut install = Command::new(Path::new(CAPI).join("install.sh"));
        succeeded(install.arg(&prefix).arg(libraries));
        prefix
    })
}

/// The words that `pkg-config` answers; without it, those of the file that it would read.
pub(crate) fn pkg_config(options: &[&str]) -> Vec<String> {
    if !has_program("pkg-config", "pkg-config's answers") {
        return read_pkg_config_file(options);
    }
    let mut command = Command::new("pkg-config");
    command
        .args(options)
        .arg("ringscope")
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let output = succeeded(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

fn read_pkg_config_file(options: &[&str]) -> Vec<String> {
    let path = prefix().join("lib/pkgconfig/ringscope.pc");
    let text = std::fs::read_to_string(path).unwrap();
    let folder = |name: &str| prefix().join(name).display().to_string();
    let fields = options.iter().map(|option| match *option {
        "--cflags" => "Cflags: ",
        "--libs" => "Libs: ",
        "--static" => "Libs.private: ",
        _ => panic!("{option}"),
    });
    let words = fields.flat_map(|field| text.lines().find_map(|line| line.strip_prefix(field)));
    let words = words.flat_map(str::split_whitespace).map(|word| {
        word.replace("${includedir}", &folder("include"))
            .replace("${libdir}", &folder("lib"))
    });
    words.collect()
}

/// Compiles to `output`.
pub(crate) fn compile(what: &Compile<'_>, output: &Path) {
    compile_by(what.language.compiler(), what, output);
}

/// Compiles to `output` by a compiler of this name.
pub(crate) fn compile_by(compiler: &str, what: &Compile<'_>, output: &Path) {
    let mut command = what.language.command(compiler);
    command
        .args(what.options)
        .args(pkg_config(&["--cflags"]))
        .arg(&what.source)
        .arg("-o")
        .arg(output)
        .arg("-xnone");
    let libraries = prefix().join("lib");
    match what.linkage {
        Linkage::Shared => {
            let run_path = format!("-Wl,-rpath,{}", libraries.display());
            command.args(pkg_config(&["--libs"])).arg(run_path);
        }
        Linkage::Static => {
            command.arg(libraries.join("libringscope.a"));
            let wanted = |word: &String| word != "-lringscope";
            let private = pkg_config(&["--libs", "--static"]);
            command.args(private.into_iter().filter(wanted));
        }
        Linkage::None => {}
    }
    succeeded(command.arg("-lpthread").arg("-ldl"));
}

/// Compiles one of the programs, optimised, with the shared library.
pub(crate) fn compiled(language: Language, name: &str, output: &Path) {
    let what = Compile {
        language,
        source: program(name),
        options: &["-O2"],
        linkage: Linkage::Shared,
    };
    compile(&what, output);
}

/// A command that records to a run in `dir`, whatever the environment of the tests says.
pub(crate) fn recording(program: &Path, dir: &Path) -> Command {
    let mut command = quiet(program);
    command
        .env("RINGSCOPE_DIR", dir)
        .env("RINGSCOPE_FORCE_DIR", "1");
    command
}

/// A command without any setting of the recorder, which finds the library where it was installed: cargo's search
/// path goes before a program's own.
pub(crate) fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("RINGSCOPE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command that must succeed.
pub(crate) fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}: {said}",
        output.status
    );
    output
}
