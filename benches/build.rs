//! Compiles the cases in C and C++: into the program, and as a plug-in that it loads.

use std::env;
use std::error::Error;
use std::path::PathBuf;

const CASES: &str = "src/foreign/cases.c";
const HEADERS: &str = "../capi/include";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={CASES}");
    println!("cargo:rerun-if-changed={HEADERS}/ringscope.h");
    println!("cargo:rustc-check-cfg=cfg(cpp_cases)");
    cases("C", "ringscope_bench_c")
        .std("c11")
        .try_compile("ringscope_bench_c")?;
    let cpp = cases("C++", "ringscope_bench_cpp")
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++17")
        .flag("-xc++")
        .flag("-fno-exceptions") // whose personality is in the C++ library
        .cargo_warnings(false)
        .try_compile("ringscope_bench_cpp");
    match cpp {
        Ok(()) => println!("cargo:rustc-cfg=cpp_cases"),
        Err(why) => println!("cargo:warning=the cases in C++ are left out: {why}"),
    }
    plug_in()
}

/// The cases under a name and in a table.
fn cases(language: &str, table: &str) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .include(HEADERS)
        .define("BENCH_LANGUAGE", &*format!("\"{language}\""))
        .define("BENCH_TABLE", table)
        .file(CASES);
    build
}

/// A shared object that finds the recorder in the program that loads it, which exports it.
fn plug_in() -> Result<(), Box<dyn Error>> {
    let plug_in = PathBuf::from(env::var("OUT_DIR")?).join("ringscope_bench_plug_in.so");
    let compiler = cases("plug-in", "ringscope_bench_plug_in")
        .pic(true)
        .std("c11")
        .try_get_compiler()?;
    let mut command = compiler.to_command();
    command.arg("-shared").arg(CASES).arg("-o").arg(&plug_in);
    let status = command.status()?;
    if !status.success() {
        return Err(format!("compile: {CASES}: {status}").into());
    }
    println!(
        "cargo:rustc-env=RINGSCOPE_BENCH_PLUG_IN={}",
        plug_in.display()
    );
    println!("cargo:rustc-link-arg-bin=hot_path=-Wl,--export-dynamic");
    Ok(())
}
