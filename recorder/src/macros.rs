//! The macros. Each comes down to `__ringscope!`, which takes the options `cat`, `level` and `track` and the arguments apart,
//! makes the site's static, and checks the level before anything else is evaluated.

/// Begins a span; the guard records it when it is dropped.
///
/// ```
/// let step = 7;
/// let id = std::net::Ipv4Addr::LOCALHOST;
/// let s = ringscope::span!("decode_step", step, cat = "worker", level = kernel, user = %id, slots = ?[1, 2]);
/// s.record("tokens", 3); // known late
/// ```
///
/// The name is a literal, or an expression (`AsRef<[u8]>`) for a name made at run time. Arguments are `name`,
/// `name = value`, `name = %display` and `name = ?debug`. The options: `cat = "…"` (default `"default"`), `level = e2e`
/// (default), `kernel` or `verbose`, and `track = …` for the lane of a [`Track`](crate::Track).
#[macro_export]
macro_rules! span {
    ($name:literal $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [span literal $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [span named $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Describes a span for [`InSpan::in_span`](crate::InSpan::in_span); takes what [`span!`](crate::span!) takes.
#[macro_export]
macro_rules! future_span {
    ($name:literal $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [future literal $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [future named $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Records an instant; takes what [`span!`](crate::span!) takes.
///
/// ```
/// ringscope::instant!("request.queued", prompt_tokens = 17);
/// ```
#[macro_export]
macro_rules! instant {
    ($name:literal $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [instant literal $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [instant named $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Records the value of a counter: an integer, float or bool. Takes the options `cat`, `level` and `track`.
///
/// ```
/// let free = 12u64;
/// ringscope::counter!("kv_pages_free", free);
/// ```
#[macro_export]
macro_rules! counter {
    ($name:literal, $value:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [counter literal $name, $value] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr, $value:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [counter named $name, $value] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Records a span that is known only afterwards: name, start and duration in CLOCK_MONOTONIC nanoseconds, then what
/// [`span!`](crate::span!) takes.
///
/// ```
/// let start_ns = ringscope::now_ns();
/// ringscope::complete!("chip.run", start_ns, 1_500, device = 0);
/// ```
#[macro_export]
macro_rules! complete {
    ($name:literal, $start_ns:expr, $duration_ns:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [complete literal $name, $start_ns, $duration_ns] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr, $start_ns:expr, $duration_ns:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [complete named $name, $start_ns, $duration_ns] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Begins the launch of a kernel, a copy or a fill: the guard records what the host does until it is dropped, and its
/// [`LaunchTicket`](crate::LaunchTicket) the wait and what the device did.
///
/// ```
/// let clock = ringscope::clock_domain(1, 50_000_000, "NPU counter");
/// let launch = ringscope::launch!("qwen3.decode_fwd", device = 0, stream = 3, block_dim = 24, step = 7u64);
/// // … the call that enqueues …
/// let ticket = launch.end();
/// let wait = ticket.wait();
/// // … the call that waits …
/// drop(wait);
/// ticket.device_span(1_000, 2_500, clock); // once the device has told
/// ```
///
/// The name is a literal, or an expression (`AsRef<[u8]>`) for a name made at run time. `device`, `stream`, `rank`, `block_dim`,
/// `thread_count` and `kind` (a [`LaunchKind`](crate::LaunchKind)) are written once for all launches that have them in common;
/// `correlation` is the runtime's own id, not 0 (default: one is made). Further arguments and options are those of
/// [`span!`](crate::span!), but for the defaults `cat = "kernel"` and `level = kernel`.
#[macro_export]
macro_rules! launch {
    ($name:literal $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch literal $name, $crate::__private::Shape::NEW, 0] ["kernel"] [kernel] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
    ($name:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch named $name, $crate::__private::Shape::NEW, 0] ["kernel"] [kernel] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Begins adjacent spans that share their clock reads. Takes the options `cat`, `level` and `track`.
///
/// ```
/// let mut lap = ringscope::lap!("embed");
/// lap.next("attention");
/// lap.next("mlp");
/// ```
#[macro_export]
macro_rules! lap {
    ($name:literal $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [lap literal $name] ["default"] [e2e] [$crate::Track::THREAD] [] $($($rest)*)?)
    };
}

/// Takes options and arguments apart, one a step: what is recorded (a launch with its shape), category, level, track, arguments so far, rest.
#[doc(hidden)]
#[macro_export]
macro_rules! __ringscope {
    // Options.
    (@parse $what:tt $cat:tt $level:tt $track:tt $args:tt cat = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what [$new] $level $track $args $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt $args:tt level = $new:ident $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat [$new] $track $args $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt $args:tt track = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level [$new] $args $($($rest)*)?)
    };
    // What belongs to a launch's shape, and its correlation id.
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt device = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.device($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt stream = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.stream($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt rank = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.rank($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt block_dim = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.block_dim($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt thread_count = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.thread_count($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt kind = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape.kind($new), $correlation] $cat $level $track $args $($($rest)*)?)
    };
    (@parse [launch $form:ident $name:tt, $shape:expr, $correlation:expr] $cat:tt $level:tt $track:tt $args:tt correlation = $new:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse [launch $form $name, $shape, $crate::__private::correlation($new)] $cat $level $track $args $($($rest)*)?)
    };
    // Arguments.
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] $key:ident = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$crate::__private::Displayed(&$value)}] $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] $key:ident = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$crate::__private::Debugged(&$value)}] $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] $key:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$value}] $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] % $key:ident $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$crate::__private::Displayed(&$key)}] $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] ? $key:ident $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$crate::__private::Debugged(&$key)}] $($($rest)*)?)
    };
    (@parse $what:tt $cat:tt $level:tt $track:tt [$($args:tt)*] $key:ident $(, $($rest:tt)*)?) => {
        $crate::__ringscope!(@parse $what $cat $level $track [$($args)* {$key, &$key}] $($($rest)*)?)
    };

    // All parsed: the static and the level check.
    (@parse [launch literal $name:literal, $shape:expr, $correlation:expr] [$cat:expr] [$level:ident] [$track:expr] [$({$key:ident, $value:expr})*]) => {{
        static SITE: $crate::__private::LaunchSite = $crate::__private::LaunchSite::new($crate::__private::Site::new(
            $name, $cat, $crate::__ringscope!(@level $level), ::core::file!(), ::core::line!(), &[$(::core::stringify!($key)),*],
        ));
        $crate::__ringscope!(@launch $level b"", [$shape, $correlation] [$track] ($($value,)*))
    }};
    (@parse [launch named $name:expr, $shape:expr, $correlation:expr] [$cat:expr] [$level:ident] [$track:expr] [$({$key:ident, $value:expr})*]) => {{
        static SITE: $crate::__private::LaunchSite = $crate::__private::LaunchSite::new($crate::__private::Site::new(
            "(run-time name)", $cat, $crate::__ringscope!(@level $level), ::core::file!(), ::core::line!(), &[$(::core::stringify!($key)),*],
        ));
        $crate::__ringscope!(@launch $level $crate::__private::name_bytes(&$name), [$shape, $correlation] [$track] ($($value,)*))
    }};
    (@parse [$what:ident literal $name:literal $($more:tt)*] [$cat:expr] [$level:ident] [$track:expr] [$({$key:ident, $value:expr})*]) => {{
        static SITE: $crate::__private::Site = $crate::__private::Site::new(
            $name, $cat, $crate::__ringscope!(@level $level), ::core::file!(), ::core::line!(), &[$(::core::stringify!($key)),*],
        );
        $crate::__ringscope!(@$what literal $level [$name $($more)*] [$track] ($($value,)*))
    }};
    (@parse [$what:ident named $name:expr $(, $($more:tt)*)?] [$cat:expr] [$level:ident] [$track:expr] [$({$key:ident, $value:expr})*]) => {{
        static SITE: $crate::__private::Site = $crate::__private::Site::new(
            "(run-time name)", $cat, $crate::__ringscope!(@level $level), ::core::file!(), ::core::line!(), &[$(::core::stringify!($key)),*],
        );
        $crate::__ringscope!(@$what named $level [$name $(, $($more)*)?] [$track] ($($value,)*))
    }};

    (@level e2e) => { $crate::__private::LEVEL_E2E };
    (@level kernel) => { $crate::__private::LEVEL_KERNEL };
    (@level verbose) => { $crate::__private::LEVEL_VERBOSE };

    (@span literal $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::Span::enter(&SITE, &$args, $track)
        } else {
            $crate::Span::disabled()
        }
    };
    (@span named $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::Span::enter_named(&SITE, $crate::__private::name_bytes(&$name), &$args, $track)
        } else {
            $crate::Span::disabled()
        }
    };
    (@launch $level:ident $name:expr, [$shape:expr, $correlation:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::Launch::enter(&SITE, $name, ($shape, $correlation), &$args, $track)
        } else {
            $crate::Launch::disabled()
        }
    };
    (@future literal $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::FutureSpan::new(&SITE, &$args, $track)
        } else {
            $crate::FutureSpan::disabled()
        }
    };
    (@future named $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::FutureSpan::new_named(&SITE, $crate::__private::name_bytes(&$name), &$args, $track)
        } else {
            $crate::FutureSpan::disabled()
        }
    };
    (@lap literal $level:ident [$name:expr] [$track:expr] ()) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::Lap::enter(&SITE, $track)
        } else {
            $crate::Lap::disabled(&SITE)
        }
    };
    (@instant literal $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::__private::instant(&SITE, &$args, $track)
        }
    };
    (@instant named $level:ident [$name:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::__private::instant_named(&SITE, $crate::__private::name_bytes(&$name), &$args, $track)
        }
    };
    (@counter literal $level:ident [$name:expr, $value:expr] [$track:expr] ()) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::__private::counter(&SITE, &$value, $track)
        }
    };
    (@counter named $level:ident [$name:expr, $value:expr] [$track:expr] ()) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            $crate::__private::counter_named(&SITE, $crate::__private::name_bytes(&$name), &$value, $track)
        }
    };
    (@complete literal $level:ident [$name:expr, $start_ns:expr, $duration_ns:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            let past = $crate::__private::Past { start_ns: $start_ns, duration_ns: $duration_ns };
            $crate::__private::complete_at(&SITE, past, &$args, $track)
        }
    };
    (@complete named $level:ident [$name:expr, $start_ns:expr, $duration_ns:expr] [$track:expr] $args:expr) => {
        if $crate::__private::enabled($crate::__ringscope!(@level $level)) {
            let past = $crate::__private::Past { start_ns: $start_ns, duration_ns: $duration_ns };
            $crate::__private::complete_named(&SITE, $crate::__private::name_bytes(&$name), past, &$args, $track)
        }
    };
}
