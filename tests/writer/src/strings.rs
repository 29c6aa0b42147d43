//! Every string of `texts` in every place that takes one.

use crate::texts::texts;

/// Records span names, values, keys of late arguments, tracks, and thread names; text `n` everywhere beside `n`.
pub(crate) fn run() {
    for (n, text) in (0u64..).zip(texts()) {
        drop(ringscope::span!(&text, n, kind = "name"));
        drop(ringscope::span!("value", n, text = &text[..]));
        let span = ringscope::span!("late value", n);
        span.record("text", &text[..]);
        drop(span);
        // A record's values take 16 KiB together, or a quarter of the ring: the second text may be cut.
        let span = ringscope::span!("two values", n, text = &text[..]);
        span.record("late", &text[..]);
        drop(span);
        let track = ringscope::track(&text);
        ringscope::instant!("on track", n, track = track);
        if let Ok(text) = std::str::from_utf8(&text) {
            let span = ringscope::span!("key", n);
            span.record(text, n);
            drop(span);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    ringscope::set_thread_name(text);
                    ringscope::instant!("on thread", n);
                });
            });
        }
    }
    ringscope::set_process_name("quoted \" name \\");
}
