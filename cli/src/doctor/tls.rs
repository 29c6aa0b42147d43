//! Thread-local storage that the C library keeps for libraries which are loaded late.

use std::fs;
use std::process::{Command, Stdio};

use super::check::Check;

/// What `libringscope.so.1` takes, the Rust runtime in it included.
const NEEDED_BYTES: u64 = 256;
const TUNABLE: &str = "glibc.rtld.optional_static_tls";

/// Asks the loader of this program's own C library, which obeys GLIBC_TUNABLES.
pub(super) fn storage() -> Check {
    check(reserved_bytes())
}

fn check(reserved_bytes: Option<u64>) -> Check {
    let found = match reserved_bytes {
        Some(bytes) => format!(
            "{bytes} bytes for libraries that are loaded late; libringscope.so.1 takes {NEEDED_BYTES} at most"
        ),
        None => "this C library does not say what it keeps for libraries that are loaded late"
            .to_owned(),
    };
    Check::ok("tls", found)
        .with("reserved_bytes", reserved_bytes)
        .warn_if(
            reserved_bytes.is_none_or(|bytes| bytes < NEEDED_BYTES),
            "plug-ins that record may fail to load: link the program itself with libringscope, or set \
             GLIBC_TUNABLES=glibc.rtld.optional_static_tls=512",
        )
}

fn reserved_bytes() -> Option<u64> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let loader = maps.split_ascii_whitespace().find(|word| {
        let name = word.rsplit('/').next();
        word.starts_with('/') && name.is_some_and(|name| name.starts_with("ld-linux"))
    })?;
    let listed = Command::new(loader)
        .arg("--list-tunables")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    tunable(&String::from_utf8_lossy(&listed.stdout))
}

/// The value in a list of `name: 0x200 (min: 0x0, max: 0xff)`.
fn tunable(list: &str) -> Option<u64> {
    let mut lines = list.lines();
    let value = lines.find_map(|line| line.strip_prefix(TUNABLE)?.strip_prefix(": 0x"))?;
    u64::from_str_radix(value.split(' ').next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::State;

    #[test]
    fn the_loaders_list_is_read() {
        let list = "glibc.rtld.nns: 0x4 (min: 0x1, max: 0x10)\n\
                    glibc.rtld.optional_static_tls: 0x200 (min: 0x0, max: 0xffffffffffffffff)\n";
        assert_eq!(tunable(list), Some(512));
        assert_eq!(tunable("glibc.rtld.nns: 0x4 (min: 0x1, max: 0x10)\n"), None);
        assert_eq!(check(Some(512)).state, State::Ok);
        assert_eq!(check(Some(16)).state, State::Warn);
        assert_eq!(check(None).state, State::Warn);
    }
}
