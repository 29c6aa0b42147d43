//! What programs call by name: configuration, status, names, spans known only afterwards.

use core::ffi::c_char;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ringscope::{InitError, Level, Mode};

use crate::abi::{Config, InitResult, STATUS_TEXT_LEN, Status};
use crate::border::{bytes, without_panic};
use crate::thread::attach;

/// Starts recording as `config` says, or by default when it is null.
///
/// # Safety
///
/// `config` is null or points to a structure whose texts are null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_init(config: *const Config) -> InitResult {
    without_panic(InitResult::Refused, || {
        // SAFETY: passed on to the caller.
        let Some(config) = (unsafe { converted(config) }) else {
            return InitResult::BadConfig;
        };
        match ringscope::init(config) {
            Ok(()) => InitResult::Ok,
            Err(InitError::AlreadyRecording) => InitResult::AlreadyRecording,
            Err(_) => InitResult::Refused,
        }
    })
}

/// # Safety
///
/// As [`ringscope_init`].
unsafe fn converted(config: *const Config) -> Option<ringscope::Config> {
    let mut converted = ringscope::Config::new();
    // SAFETY: passed on to the caller.
    let Some(config) = (unsafe { config.as_ref() }) else {
        return Some(converted);
    };
    if config.size_bytes != size_of::<Config>() as u64 {
        return None;
    }
    // SAFETY: passed on to the caller.
    let (dir, level, name) = unsafe {
        (
            bytes(config.dir),
            bytes(config.level),
            bytes(config.process_name),
        )
    };
    if !dir.is_empty() {
        converted = converted.dir(OsStr::from_bytes(dir));
    }
    if !level.is_empty() {
        converted = converted.level(Level::parse(core::str::from_utf8(level).ok()?)?);
    }
    if !name.is_empty() {
        converted = converted.process_name(&String::from_utf8_lossy(name));
    }
    if config.ring_size_bytes != 0 {
        converted = converted.ring_size(config.ring_size_bytes);
    }
    if config.max_size_bytes != 0 {
        converted = converted.max_size(config.max_size_bytes);
    }
    if let Ok(rank) = u32::try_from(config.rank) {
        converted = converted.rank(rank);
    }
    if config.keeps_all_records {
        converted = converted.mode(Mode::Full);
    }
    if config.keeps_values_out {
        converted = converted.without_argument_values();
    }
    Some(converted)
}

/// Fills in what the process records now.
///
/// # Safety
///
/// `status` points to a structure that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_get_status(status: *mut Status) {
    without_panic((), || {
        let now = ringscope::status();
        let run = now
            .run
            .as_deref()
            .map_or(&b""[..], |run| run.as_os_str().as_bytes());
        let filled = Status {
            run: padded(run),
            refusal: padded(now.refusal.as_deref().unwrap_or("").as_bytes()),
            level: ringscope::c_abi::mask_of(now.level),
        };
        // SAFETY: passed on to the caller.
        unsafe { status.write(filled) };
    });
}

fn padded(text: &[u8]) -> [u8; STATUS_TEXT_LEN] {
    let mut field = [0; STATUS_TEXT_LEN];
    let len = text.len().min(STATUS_TEXT_LEN - 1);
    field[..len].copy_from_slice(&text[..len]);
    field
}

/// Switches what this process records; false when the text is no set of levels, or there are no files.
///
/// # Safety
///
/// `level` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_set_level(level: *const c_char) -> bool {
    without_panic(false, || {
        // SAFETY: passed on to the caller.
        let level = core::str::from_utf8(unsafe { bytes(level) }).ok();
        level
            .and_then(Level::parse)
            .is_some_and(ringscope::set_level)
    })
}

/// Names the process in traces.
///
/// # Safety
///
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_set_process_name(name: *const c_char) {
    without_panic((), || {
        // SAFETY: passed on to the caller.
        let name = String::from_utf8_lossy(unsafe { bytes(name) });
        ringscope::set_process_name(&name);
    });
}

/// Names the calling thread in traces.
///
/// # Safety
///
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_set_thread_name(name: *const c_char) {
    without_panic((), || {
        attach();
        // SAFETY: passed on to the caller.
        let name = String::from_utf8_lossy(unsafe { bytes(name) });
        ringscope::set_thread_name(&name);
    });
}

/// Records a span that is over, under a name made at run time.
///
/// # Safety
///
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ringscope_complete(name: *const c_char, start_ns: u64, duration_ns: u64) {
    without_panic((), || {
        attach();
        // SAFETY: passed on to the caller.
        ringscope::complete(unsafe { bytes(name) }, start_ns, duration_ns);
    });
}

/// CLOCK_MONOTONIC in ns.
#[unsafe(no_mangle)]
pub extern "C" fn ringscope_now_ns() -> u64 {
    ringscope::now_ns()
}
