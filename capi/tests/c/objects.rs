//! Several shared objects in a process, and a statically linked recorder beside them.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::recorded::{only_run, processes};
use crate::toolchain::{
    Compile, Language, Linkage, compile, prefix, program, recording, succeeded,
};

fn plugin(name: &str, folder: &Path, extra: &[&str]) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let output = folder.join("plugin.so");
    let define = format!("-DNAME=\"{name}\"");
    let mut options = vec!["-O2", "-fPIC", "-shared", define.as_str()];
    options.extend(extra);
    let what = Compile {
        language: Language::C,
        source: program("plugin.c"),
        options: &options,
        linkage: Linkage::Shared,
    };
    compile(&what, &output);
    output
}

#[test]
fn plug_ins_of_different_folders_share_the_rings_and_may_be_closed() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = ["one", "two"].map(|name| plugin(name, &dir.path().join(name), &[]));
    let host = dir.path().join("host");
    let what = Compile {
        language: Language::C,
        source: program("host.c"),
        options: &["-O2"],
        linkage: Linkage::None,
    };
    compile(&what, &host);
    let runs = dir.path().join("runs");
    succeeded(recording(&host, &runs).args(&plugins));

    let processes = processes(&only_run(&runs));
    let [process] = &processes[..] else {
        panic!("expected one process file, found {}", processes.len())
    };
    assert_eq!(process.rings.len(), 2, "one ring a thread");
    let texts = |ring: usize| -> Vec<&str> {
        process.rings[ring]
            .records
            .iter()
            .map(|entry| entry.text.as_str())
            .collect()
    };
    let main = [
        "one.calls = 0",
        "one n=0",
        "two.calls = 0",
        "two n=0",
        "one.calls = 1",
        "one n=1",
        "two.calls = 1",
        "two n=1",
    ];
    assert_eq!(texts(0), main);
    let early = [
        "one.calls = 100",
        "one n=100",
        "two.calls = 200",
        "two n=200",
    ];
    assert_eq!(texts(1), early);
    assert_eq!(process.counted(), []);
}

/// Environment variable that makes [`statically_linked_recorder`] do its part.
const PLUGIN: &str = "CAPI_TEST_PLUGIN";

/// Not a test by itself: the program that the next test runs.
#[test]
#[ignore = "runs as a child of the next test"]
fn statically_linked_recorder() {
    let Some(plugin) = std::env::var_os(PLUGIN) else {
        return;
    };
    let plugin = CString::new(plugin.as_bytes()).unwrap();
    let _outer = ringscope::span!("in Rust");
    // SAFETY: loads a library, and calls a function of it by its true type.
    unsafe {
        let library = libc::dlopen(plugin.as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null());
        let record = libc::dlsym(library, c"plugin_record".as_ptr());
        assert!(!record.is_null());
        let record: extern "C" fn(i32) = std::mem::transmute(record);
        record(1);
        ringscope::instant!("between");
        record(2);
    }
}

#[test]
fn a_static_copy_writes_files_of_its_own_that_merge() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let plugin = plugin("plugin", dir.path(), &[]);
    let mut child: Command = recording(&std::env::current_exe().unwrap(), dir.path());
    let name = "objects::statically_linked_recorder";
    child.args(["--exact", name, "--ignored", "--test-threads=1"]);
    succeeded(child.env(PLUGIN, &plugin).env("RINGSCOPE_RUN", &run));

    let processes = processes(&run);
    let [rust, c] = &processes[..] else {
        panic!("expected two process files, found {}", processes.len())
    };
    assert_eq!(rust.texts(), ["between", "in Rust"]);
    assert_eq!(
        c.texts(),
        [
            "plugin.calls = 1",
            "plugin n=1",
            "plugin.calls = 2",
            "plugin n=2"
        ]
    );
    // What readers merge by.
    let identity = |process: &crate::recorded::Process| {
        let header = &process.header;
        (
            header.host,
            header.boot_id,
            header.pid_namespace.get(),
            header.start.pid.get(),
            header.start_time.get(),
            header.clock_source.get(),
        )
    };
    assert_eq!(identity(rust), identity(c));
    assert_ne!(rust.header.start.nonce.get(), c.header.start.nonce.get());
    assert_eq!(rust.rings[0].tids, c.rings[0].tids);
    // One clock: what the plug-in recorded lies inside the Rust span.
    let outer = &rust.rings[0].records[1].record;
    for entry in c.rings[0]
        .records
        .iter()
        .filter(|entry| entry.text.starts_with("plugin n"))
    {
        let (start, end) = (outer.start(), outer.start() + outer.duration());
        assert!(start <= entry.record.start());
        assert!(entry.record.start() + entry.record.duration() <= end);
    }
    assert!(rust.ended_cleanly && c.ended_cleanly);
}

#[test]
fn the_shared_object_carries_its_abi_in_its_name() {
    let library = prefix().join("lib/libringscope.so.1");
    let mut dump = Command::new("readelf");
    let output = succeeded(dump.args(["-dW", "--dyn-syms"]).arg(&library)).stdout;
    let text = String::from_utf8(output).unwrap();
    for expected in [
        "soname: [libringscope.so.1]",
        "NODELETE",
        "STATIC_TLS",
        "SYMBOLIC",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    let exported: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("GLOBAL DEFAULT") && !line.contains("UND"))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert!(exported.contains(&"ringscope_tls"));
    let foreign: Vec<&&str> = exported
        .iter()
        .filter(|name| !name.starts_with("ringscope_"))
        .collect();
    assert!(foreign.is_empty(), "exported: {foreign:?}");
    let tls = text
        .lines()
        .find(|line| line.ends_with(" ringscope_tls"))
        .unwrap();
    assert!(tls.contains(" TLS "), "{tls}");
    assert_eq!(library.extension(), Some(OsStr::new("1")));
}
