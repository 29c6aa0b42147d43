//! fastrace: local spans. A collector takes 10,240 spans and drops the rest, which would look cheap: it is emptied well
//! before, as a request's end does.

use fastrace::local::{LocalCollector, LocalSpan};
use ringscope_benches::case::{Case, Subject};

use crate::peer::Troupe;

/// Spans of one collector.
const SPANS_OF_A_COLLECTOR: u64 = 1_000;

pub(crate) struct Fastrace;

impl Troupe for Fastrace {
    fn cases(&self) -> Vec<Box<dyn Subject>> {
        let span = Span {
            collector: None,
            spans: 0,
        };
        vec![Box::new(span)]
    }
}

struct Span {
    collector: Option<LocalCollector>,
    spans: u64,
}

impl Span {
    #[inline(never)]
    fn renew_collector(&mut self) {
        drop(self.collector.take().map(LocalCollector::collect));
        self.collector = Some(LocalCollector::start());
        self.spans = 0;
    }
}

impl Case for Span {
    const NAME: &'static str = "LocalSpan";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        if self.spans == SPANS_OF_A_COLLECTOR {
            self.renew_collector();
        }
        self.spans += 1;
        let _span = LocalSpan::enter_with_local_parent("span");
        inside();
    }

    fn before(&mut self) {
        self.renew_collector();
    }

    fn after(&mut self) {
        drop(self.collector.take().map(LocalCollector::collect));
    }
}
