//! The header and the library agree, and the build notices when they do not.

use std::path::Path;
use std::process::Command;

use crate::toolchain::CAPI;

/// Compiles the checks that `build.rs` made against this header.
fn compiles(header: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ringscope.h"), header).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-fsyntax-only", "-I"])
        .arg(dir.path())
        .arg(Path::new(env!("OUT_DIR")).join("layout_check.c"));
    gcc.output().unwrap().status.success()
}

#[test]
fn a_header_that_drifts_does_not_compile() {
    let header = std::fs::read_to_string(Path::new(CAPI).join("include/ringscope.h")).unwrap();
    assert!(compiles(&header));
    for (from, to) in [
        (
            "    uint64_t slot_mask;\n    uint64_t limit;\n",
            "    uint64_t limit;\n    uint64_t slot_mask;\n",
        ),
        (
            "    uint64_t open_slot_mask;\n",
            "    uint32_t open_slot_mask;\n",
        ),
        (
            "    uint32_t site;\n    uint32_t open_slot;\n",
            "    uint32_t open_slot;\n    uint32_t site;\n",
        ),
        (
            "#define RINGSCOPE_PRIVATE_LANE_SHIFT 48",
            "#define RINGSCOPE_PRIVATE_LANE_SHIFT 47",
        ),
        (
            "#define RINGSCOPE_PRIVATE_KIND_COUNTER UINT64_C(5)",
            "#define RINGSCOPE_PRIVATE_KIND_COUNTER UINT64_C(6)",
        ),
        ("#define RINGSCOPE_KERNEL 2u", "#define RINGSCOPE_KERNEL 4u"),
    ] {
        assert!(header.contains(from), "{from}");
        assert!(!compiles(&header.replacen(from, to, 1)), "{to}");
    }
}
