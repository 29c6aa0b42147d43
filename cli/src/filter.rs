//! Filter arguments as the decoder takes them.

use ringscope_decode::{Filter, Options, TimeBase};

use crate::cli::{EffortArgs, EventFilterArgs, FilterArgs};

/// The decoder's options.
pub(crate) fn options(filter: &FilterArgs, effort: &EffortArgs, time_base: TimeBase) -> Options {
    let mut options = options_at_any_time(&filter.events, effort, time_base);
    options.filter.from = filter.from;
    options.filter.to = filter.to;
    options
}

/// The same without bounds of time.
pub(crate) fn options_at_any_time(
    filter: &EventFilterArgs,
    effort: &EffortArgs,
    time_base: TimeBase,
) -> Options {
    Options {
        filter: Filter {
            names: filter.name.clone(),
            categories: filter.cat.clone(),
            levels: filter.level.map(|level| level.mask),
            pids: filter.pid.clone(),
            tids: filter.tid.clone(),
            min_duration_ns: filter.min_duration.map_or(0, |span| span.ns),
            from: None,
            to: None,
            recorded_since: None,
        },
        time_base,
        threads: effort.jobs,
        ..Options::default()
    }
}
