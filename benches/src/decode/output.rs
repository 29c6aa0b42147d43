//! The figures for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::figure::{Bound, Figure, RatioOf};

/// Prints the figures of a run as a table.
pub(crate) fn print(figures: &[Figure]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "run",
        "what",
        "threads",
        "s",
        "ns an event",
        "ratio",
        "wanted",
        "of",
        "private MiB",
        "MB",
        "B an event",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for figure in figures {
        table.add_row([
            figure.shape.to_owned(),
            figure.what.clone(),
            figure.threads.to_string(),
            format!("{:.2}", figure.seconds),
            in_tenths(figure.ns_per_event),
            format!("{:.2}", figure.ratio),
            figure.wanted.map_or(String::new(), bound),
            of(figure.ratio_of).to_owned(),
            format!("{:.0}", figure.private_mib),
            format!("{:.0}", figure.bytes as f64 / 1e6),
            in_tenths(figure.bytes_per_event),
        ]);
    }
    println!("{table}");
}

fn in_tenths(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.1}"))
}

fn bound(wanted: Bound) -> String {
    match wanted {
        Bound::AtLeast(ratio) => format!(">= {ratio:.2}"),
        Bound::AtMost(ratio) => format!("<= {ratio:.2}"),
    }
}

fn of(ratio: RatioOf) -> &'static str {
    match ratio {
        RatioOf::FloorSpeed => "the floor's speed, a thread",
        RatioOf::NullAndWriteTime => "the time of decode and bare write",
        RatioOf::TenTenthsTime => "ten times this time",
        RatioOf::DeflateSpeed => "one deflate's speed",
    }
}
