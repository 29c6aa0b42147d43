//! Compiles the part that must be C, checks the header against `ringbuf`, and gives the shared object its name.

use std::fmt::{self, Write};
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use ringscope_ringbuf::layout;
use ringscope_ringbuf::payload::ArgType;
use ringscope_ringbuf::ring::WRITER_FIELDS;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the library uses these, here only their layout counts"
)]
#[path = "src/abi.rs"]
mod abi;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in ["build.rs", "include/ringscope.h", "src/abi.rs", "src/tls.c"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let checks = PathBuf::from(env::var("OUT_DIR")?).join("layout_check.c");
    fs::write(&checks, layout_checks()?)?;
    // A drift between header and library stops the build here.
    cc::Build::new()
        .include("include")
        .std("c11")
        .file("src/tls.c")
        .file(checks)
        .try_compile("ringscope_tls")?;
    // The name carries the inline ABI. Code that recorded may run until the process ends, so the library is never
    // unmapped; its own references to what it exports are never redirected.
    let version = "-Wl,-soname,libringscope.so.1,-z,nodelete,-Bsymbolic";
    println!("cargo:rustc-cdylib-link-arg={version}");
    link_with_lld()
}

/// GNU's linker refuses the thread-local pointer, as rustc lists it among data symbols; lld takes it. On x86-64 rustc uses the
/// lld of its toolchain anyway, elsewhere it has to be told.
fn link_with_lld() -> Result<(), Box<dyn std::error::Error>> {
    if env::var("CARGO_CFG_TARGET_ARCH")? == "x86_64" {
        return Ok(());
    }
    let output = Command::new(env::var("RUSTC")?)
        .args(["--print", "sysroot"])
        .output()?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let lld = sysroot
        .join("lib/rustlib")
        .join(env::var("HOST")?)
        .join("bin/gcc-ld");
    // Without that directory it is the system's lld.
    if lld.is_dir() {
        println!("cargo:rustc-cdylib-link-arg=-B{}", lld.display());
    }
    println!("cargo:rustc-cdylib-link-arg=-fuse-ld=lld");
    Ok(())
}

/// A C file of assertions that fails to compile when the header says anything else than `ringbuf` and `abi.rs` do.
fn layout_checks() -> Result<String, fmt::Error> {
    let mut c = String::from("#include \"ringscope.h\"\n");
    for (field, offset, len) in WRITER_FIELDS {
        field_check(&mut c, "ringscope_writer", field, offset, len)?;
    }
    shared_structures(&mut c)?;
    for (name, value) in constants() {
        let what = format!("RINGSCOPE_{name} == UINT64_C({value})");
        writeln!(
            c,
            "_Static_assert({what}, \"{name} differs from ringbuf's\");"
        )?;
    }
    Ok(c)
}

fn field_check(c: &mut String, of: &str, field: &str, offset: usize, len: usize) -> fmt::Result {
    writeln!(
        c,
        "_Static_assert(offsetof({of}, {field}) == {offset}, \"offset of {of}.{field}\");"
    )?;
    writeln!(
        c,
        "_Static_assert(sizeof((({of} *)0)->{field}) == {len}, \"length of {of}.{field}\");"
    )
}

/// Offsets and lengths of the structures that the library shares with the header.
fn shared_structures(c: &mut String) -> fmt::Result {
    macro_rules! check {
        ($($c_name:literal = $type:ident { $($field:ident),* })*) => { $(
            let len = size_of::<abi::$type>();
            writeln!(c, "_Static_assert(sizeof({0}) == {len}, \"length of {0}\");", $c_name)?;
            $( field_check(
                c,
                $c_name,
                stringify!($field),
                offset_of!(abi::$type, $field),
                field_len(|it: &abi::$type| size_of_val(&it.$field)),
            )?; )*
        )* };
    }
    check! {
        "ringscope_value" = Value { word, text, text_len, type_number }
        "ringscope_track" = Track { name, generation, lane }
        "ringscope_payload" = Payload { word, len, long_buffer, long_bytes, bytes }
        "ringscope_span" = Span { writer, start, site, open_slot, lane, payload }
        "ringscope_site" = Site { id, line, category, file, registered, keys, level, argument_count }
        "ringscope_object" = Object { level, generation, reads_counter, unknown_level, no_generation }
        "ringscope_config" = Config {
            size_bytes, dir, level, process_name, ring_size_bytes, max_size_bytes, rank, keeps_all_records
        }
        "ringscope_status" = Status { run, refusal, level }
        "ringscope_launch_info" = LaunchInfo {
            size_bytes, name, device, stream, rank, block_dim, thread_count, kind, correlation, parent_correlation,
            size_moved_bytes, batch, step
        }
        "ringscope_host_span" = HostSpan {
            abi_version, struct_size, invocation_id, callable_hash, depth, timestamp_ns, duration_ns, name, attributes
        }
    }
    Ok(())
}

// The header takes the valid bit for the one above the lap.
const _: () = assert!(layout::STAMP_VALID == (layout::LAP_MASK + 1) << layout::STAMP_SHIFT);

/// Length of a field, from a value that is all zeros: valid for every structure of `abi.rs`.
fn field_len<T>(len: impl Fn(&T) -> usize) -> usize {
    let zeros = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the structures of `abi.rs` are integers, booleans and pointers, for all of which zero is a value.
    len(unsafe { zeros.assume_init_ref() })
}

fn constants() -> Vec<(&'static str, u64)> {
    use layout::Kind;
    vec![
        ("E2E", layout::LEVEL_E2E),
        ("KERNEL", layout::LEVEL_KERNEL),
        ("VERBOSE", layout::LEVEL_VERBOSE),
        ("PRIVATE_I64", ArgType::I64 as u64),
        ("PRIVATE_U64", ArgType::U64 as u64),
        ("PRIVATE_F64", ArgType::F64 as u64),
        ("PRIVATE_BOOL", ArgType::Bool as u64),
        ("PRIVATE_STR", ArgType::Str as u64),
        ("PRIVATE_HEX", ArgType::Hex as u64),
        ("PRIVATE_MAX_ARGUMENTS", abi::MAX_ARGUMENTS as u64),
        ("PRIVATE_INLINE_LEN", abi::INLINE_LEN as u64),
        ("PRIVATE_PADDING", abi::PADDING as u64),
        ("PRIVATE_LAUNCH_WORDS", abi::LAUNCH_WORDS as u64),
        ("PRIVATE_WAIT_WORDS", abi::WAIT_WORDS as u64),
        ("PRIVATE_TICKET_WORDS", abi::TICKET_WORDS as u64),
        ("PRIVATE_CLOCK_WORDS", abi::CLOCK_WORDS as u64),
        ("PRIVATE_SEQUENCE_MASK", layout::SEQUENCE_MASK),
        ("PRIVATE_RECORD_ONE", layout::HEAD_RECORD_ONE),
        ("PRIVATE_DURATION_MAX", layout::DURATION_MAX),
        ("PRIVATE_LANE_SHIFT", u64::from(layout::DURATION_BITS)),
        ("PRIVATE_STAMP_SHIFT", u64::from(layout::STAMP_SHIFT)),
        ("PRIVATE_LAP_MASK", layout::LAP_MASK),
        ("PRIVATE_KIND_SHIFT", u64::from(layout::KIND_SHIFT)),
        ("PRIVATE_RECORD_WORDS", layout::RECORD_WORDS as u64),
        (
            "PRIVATE_CONTINUATION_PAYLOAD",
            layout::CONTINUATION_PAYLOAD as u64,
        ),
        ("PRIVATE_OPEN_SLOT_WORDS", layout::OPEN_SLOT_WORDS as u64),
        (
            "PRIVATE_OPEN_SLOT_PAYLOAD",
            layout::OPEN_SLOT_PAYLOAD as u64,
        ),
        ("PRIVATE_OPEN_SLOT_TAKEN", layout::OPEN_SLOT_TAKEN),
        ("PRIVATE_NO_SLOT", u64::from(abi::NO_SLOT)),
        ("PRIVATE_KIND_SPAN", Kind::Span as u64),
        ("PRIVATE_KIND_SPAN_NS", Kind::SpanNs as u64),
        ("PRIVATE_KIND_INSTANT", Kind::Instant as u64),
        ("PRIVATE_KIND_COUNTER", Kind::Counter as u64),
        ("PRIVATE_KIND_CONTINUATION", Kind::Continuation as u64),
    ]
}
