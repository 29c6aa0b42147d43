//! The figures for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::measurement::Measurement;

/// Names of the columns, in the order of the figures of [`row`].
const COLUMNS: [&str; 13] = [
    "case",
    "ns",
    "net ns",
    "x floor",
    "+work ns",
    "p50",
    "p99",
    "p99.9",
    ">1us/M",
    "faults/M",
    "syscalls/M",
    "bytes",
    "instr.",
];

/// The figures of one configuration as a table. Times are in ns; `/M` means per million.
pub fn render(measurements: &[Measurement]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty()
        .set_header(COLUMNS);
    for measurement in measurements {
        table.add_row(row(measurement));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(m: &Measurement) -> [String; COLUMNS.len()] {
    let count =
        |figure: Option<f64>| figure.map_or("n/a".to_string(), |figure| format!("{figure:.0}"));
    [
        m.case.clone(),
        format!("{:.2}", m.ns),
        format!("{:.2}", m.net_ns),
        format!("{:.3}", m.floor_ratio),
        format!("{:.1}", m.added_to_work_ns),
        format!("{:.0}", m.call_p50_ns),
        format!("{:.0}", m.call_p99_ns),
        format!("{:.0}", m.call_p999_ns),
        format!("{:.0}", m.calls_over_1us_per_million),
        count(Some(m.page_faults_per_million)),
        count(m.system_calls_per_million),
        count(m.bytes),
        m.instructions
            .map_or("n/a".to_string(), |figure| format!("{figure:.1}")),
    ]
}
