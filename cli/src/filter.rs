//! Filter arguments as the decoder takes them.

use ringscope_decode::{Filter, Options, TimeBase};

use crate::cli::{EffortArgs, FilterArgs};

/// The decoder's options.
pub(crate) fn options(filter: &FilterArgs, effort: &EffortArgs, time_base: TimeBase) -> Options {
    Options {
        filter: Filter {
            names: filter.name.clone(),
            categories: filter.cat.clone(),
            levels: filter.level.map(|level| level.mask),
            pids: filter.pid.clone(),
            tids: filter.tid.clone(),
            min_duration_ns: filter.min_duration.map_or(0, |span| span.ns),
            from: filter.from,
            to: filter.to,
        },
        time_base,
        threads: effort.jobs,
        ..Options::default()
    }
}
