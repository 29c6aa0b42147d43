//! Durations: as people write them and as people read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("min", 60e9),
    ("s", 1e9),
    ("h", 3600e9),
    ("", 1e9),
];

/// A span of time in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SpanOfTime {
    /// Nanoseconds.
    pub(crate) ns: u64,
}

impl SpanOfTime {
    /// A span of so many nanoseconds.
    pub(crate) fn new(ns: u64) -> SpanOfTime {
        SpanOfTime { ns }
    }

    /// Seconds, minutes, hours or days, as whole numbers: for ages.
    pub(crate) fn in_whole_units(self) -> String {
        let seconds = self.ns / 1_000_000_000;
        match seconds {
            0..120 => format!("{seconds} s"),
            120..7_200 => format!("{} min", seconds / 60),
            7_200..172_800 => format!("{} h", seconds / 3_600),
            _ => format!("{} days", seconds / 86_400),
        }
    }
}

impl From<SpanOfTime> for Duration {
    fn from(span: SpanOfTime) -> Duration {
        Duration::from_nanos(span.ns)
    }
}

impl FromStr for SpanOfTime {
    type Err = String;

    /// Reads `2.5`, `2.5s`, `100ms`, `3us`, `20ns`, `5min`, `1h`; a number alone means seconds.
    fn from_str(text: &str) -> Result<SpanOfTime, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let expected =
            || format!("expected a time such as 2.5s, 100ms, 3us or 20ns, found {text:?}");
        let (_, factor) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(expected)?;
        let value: f64 = number.parse().map_err(|_| expected())?;
        Ok(SpanOfTime {
            ns: (value * factor).round() as u64,
        })
    }
}

impl fmt::Display for SpanOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.ns as f64;
        f.pad(&match self.ns {
            0..1_000 => format!("{} ns", self.ns),
            1_000..1_000_000 => format!("{} us", three_digits(ns / 1e3)),
            1_000_000..1_000_000_000 => format!("{} ms", three_digits(ns / 1e6)),
            1_000_000_000..7_200_000_000_000 => format!("{} s", three_digits(ns / 1e9)),
            _ => format!("{} h", three_digits(ns / 3600e9)),
        })
    }
}

/// Three significant digits, more where the whole part has them.
fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        let read = |text: &str| text.parse::<SpanOfTime>().map(|span| span.ns);
        assert_eq!(read("2.5"), Ok(2_500_000_000));
        assert_eq!(read("2.5s"), Ok(2_500_000_000));
        assert_eq!(read("100ms"), Ok(100_000_000));
        assert_eq!(read("1.5 us"), Ok(1_500));
        assert_eq!(read("20ns"), Ok(20));
        for bad in ["", "s", "-1s", "1 day", "1.2.3"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert_eq!(SpanOfTime::new(999).to_string(), "999 ns");
        assert_eq!(SpanOfTime::new(1_234_567).to_string(), "1.23 ms");
        assert_eq!(SpanOfTime::new(61_500_000_000).to_string(), "61.5 s");
    }
}
