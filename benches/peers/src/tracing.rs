//! tracing: what its spans and events cost when nobody subscribes, and what the two cases are for a subscriber.

use ringscope_benches::case::{Case, Subject};
use tracing::info_span;

use crate::peer::Troupe;

pub(crate) struct WithoutSubscriber;

impl Troupe for WithoutSubscriber {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        cases()
    }
}

/// A span and an event.
pub(crate) fn cases() -> Vec<Box<dyn Subject>> {
    vec![Box::new(Span), Box::new(Event)]
}

struct Span;

impl Case for Span {
    const NAME: &'static str = "span";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _span = info_span!("span").entered();
        inside();
    }
}

struct Event;

impl Case for Event {
    const NAME: &'static str = "event";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        tracing::info!(number, "event");
        inside();
    }
}
