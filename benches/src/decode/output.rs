//! The figures for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::figure::Figure;

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
        "x floor a thread",
        "private MiB",
        "MB",
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
            format!("{:.1}", figure.ns_per_event),
            format!("{:.2}", figure.ratio),
            format!("{:.0}", figure.private_mib),
            format!("{:.0}", figure.bytes as f64 / 1e6),
        ]);
    }
    println!("{table}");
}
