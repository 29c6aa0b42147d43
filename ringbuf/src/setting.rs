//! The texts that environment variables, options and the `level` file of a run hold. No function allocates.

use crate::layout::{LEVEL_ALL, LEVEL_E2E, LEVEL_KERNEL, LEVEL_OFF};

/// Level mask that holds where nobody says otherwise: `e2e,kernel`.
pub const DEFAULT_LEVEL: u64 = LEVEL_E2E | LEVEL_KERNEL;

/// Reads a set of levels: `off`, or `e2e`, `kernel` and `verbose` (all of them) joined by commas, in any case and
/// with blanks around them. An empty set is the default. `None` for anything else.
pub fn parse_level(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(DEFAULT_LEVEL);
    }
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .try_fold(0, |mask, name| {
            let named = [
                ("off", LEVEL_OFF),
                ("e2e", LEVEL_E2E),
                ("kernel", LEVEL_KERNEL),
                ("verbose", LEVEL_ALL),
            ];
            named
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known))
                .map(|(_, bits)| mask | bits)
        })
}

/// Name of a level mask, as [`parse_level`] reads it.
pub fn level_name(mask: u64) -> &'static str {
    match mask & LEVEL_ALL {
        LEVEL_OFF => "off",
        LEVEL_E2E => "e2e",
        LEVEL_KERNEL => "kernel",
        DEFAULT_LEVEL => "e2e,kernel",
        _ => "verbose",
    }
}

/// Reads a size in bytes: a number with `KiB`, `MiB`, `GiB` (or `K`, `M`, `G`, all powers of 1,024), `kB`, `MB`, `GB`
/// (powers of 1,000), `B` or nothing behind it. `None` for anything else and for what 64 bits do not hold.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_sets_and_verbose_is_all_of_them() {
        assert_eq!(parse_level(" Kernel "), Some(LEVEL_KERNEL));
        assert_eq!(parse_level("e2e,kernel"), Some(DEFAULT_LEVEL));
        assert_eq!(parse_level(""), Some(DEFAULT_LEVEL));
        assert_eq!(parse_level("verbose"), Some(LEVEL_ALL));
        assert_eq!(parse_level("off"), Some(LEVEL_OFF));
        assert_eq!(parse_level("loud"), None);
        for mask in [LEVEL_OFF, LEVEL_E2E, LEVEL_KERNEL, DEFAULT_LEVEL, LEVEL_ALL] {
            assert_eq!(parse_level(level_name(mask)), Some(mask));
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("1 MiB"), Some(1 << 20));
        assert_eq!(parse_size("4GiB"), Some(4 << 30));
        assert_eq!(parse_size("5kB"), Some(5_000));
        assert_eq!(parse_size("17"), Some(17));
        assert_eq!(parse_size("99999999999GiB"), None);
        assert_eq!(parse_size("1.5MiB"), None);
    }
}
