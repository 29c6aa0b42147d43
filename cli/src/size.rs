//! Sizes in bytes: as people write them and as people read them.

use std::fmt;
use std::str::FromStr;

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
];

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    /// The number of bytes.
    pub(crate) bytes: u64,
}

impl Size {
    /// A size of so many bytes.
    pub(crate) fn new(bytes: u64) -> Size {
        Size { bytes }
    }

    /// As it is written in an argument: without a space.
    pub(crate) fn compact(self) -> String {
        self.to_string().replace(' ', "")
    }
}

impl FromStr for Size {
    type Err = String;

    /// Reads `4096`, `64KiB`, `1.5GiB`; units are powers of 1,024, `K`, `M`, `G`, `T` mean the same.
    fn from_str(text: &str) -> Result<Size, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let expected =
            || format!("expected a size such as 65536, 64KiB, 1MiB or 4GiB, found {text:?}");
        let (_, factor) = UNITS
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))
            .ok_or_else(expected)?;
        let bytes = match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(factor).ok_or_else(expected)?,
            Err(_) => (number.parse::<f64>().map_err(|_| expected())? * factor as f64) as u64,
        };
        Ok(Size { bytes })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = match self.bytes {
            0..=1023 => return f.pad(&format!("{} B", self.bytes)),
            n if n < 1 << 20 => ("KiB", 1u64 << 10),
            n if n < 1 << 30 => ("MiB", 1 << 20),
            n if n < 1 << 40 => ("GiB", 1 << 30),
            _ => ("TiB", 1 << 40),
        };
        if self.bytes.is_multiple_of(factor) {
            f.pad(&format!("{} {unit}", self.bytes / factor))
        } else {
            f.pad(&format!("{:.1} {unit}", self.bytes as f64 / factor as f64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.bytes);
        assert_eq!(read("4096"), Ok(4096));
        assert_eq!(read("64KiB"), Ok(65_536));
        assert_eq!(read("1.5 MiB"), Ok(1_572_864));
        assert_eq!(read("4g"), Ok(4 << 30));
        for bad in ["", "KiB", "1MB", "-1", "1.2.3", "99999999999T"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Size::new(512).to_string(), "512 B");
        assert_eq!(Size::new(1 << 20).to_string(), "1 MiB");
        assert_eq!(Size::new(1_572_864).to_string(), "1.5 MiB");
    }
}
