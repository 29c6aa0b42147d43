//! The cases: each form of recording, as programs write it.

use std::hint::black_box;
use std::rc::Rc;

use ringscope::{Lap, Level};
use ringscope_benches::case::{Case, Subject};
use ringscope_ringbuf::file::RingFile;
use ringscope_ringbuf::layout::RECORD_LEN;

use crate::launches::{DeviceTasks, Launch};

/// A case of the recorder, with the ring in which its records arrive.
struct Recorded<C> {
    case: C,
    ring: Rc<RingFile>,
}

impl<C: Case> Case for Recorded<C> {
    const NAME: &'static str = C::NAME;
    const RECORDS_PER_CALL: u64 = C::RECORDS_PER_CALL;

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        self.case.call(number, inside);
    }

    fn before(&mut self) {
        self.case.before();
    }

    fn after(&mut self) {
        self.case.after();
    }

    fn bytes_written(&self) -> Option<u64> {
        let state = self.ring.state().ok()?;
        Some(state.head.sequence * RECORD_LEN as u64)
    }
}

/// All cases of the recorder, for the thread that has `ring`.
pub(crate) fn all(ring: &Rc<RingFile>) -> Vec<Box<dyn Subject>> {
    fn recorded<C: Case + 'static>(case: C, ring: &Rc<RingFile>) -> Box<dyn Subject> {
        let ring = Rc::clone(ring);
        Box::new(Recorded { case, ring })
    }
    vec![
        recorded(Span, ring),
        recorded(SpanOneArgument, ring),
        recorded(SpanThreeArguments::new(), ring),
        recorded(NestedSpans, ring),
        recorded(Instant, ring),
        recorded(Counter, ring),
        recorded(Phases { lap: None }, ring),
        recorded(Complete, ring),
        recorded(RunTimeName::new(), ring),
        recorded(Launch::new(), ring),
        recorded(DeviceTasks::new(), ring),
        recorded(LevelNotEnabled, ring),
        recorded(Off, ring),
        recorded(CompiledOut, ring),
    ]
}

struct Span;

impl Case for Span {
    const NAME: &'static str = "span";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!("span");
        inside();
    }
}

struct SpanOneArgument;

impl Case for SpanOneArgument {
    const NAME: &'static str = "span, 1 argument";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!("span_1_argument", number);
        inside();
    }
}

struct SpanThreeArguments {
    request: Box<str>,
}

impl SpanThreeArguments {
    fn new() -> SpanThreeArguments {
        SpanThreeArguments {
            request: black_box("request-00000001").into(),
        }
    }
}

impl Case for SpanThreeArguments {
    const NAME: &'static str = "span, 3 arguments";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let request = &*self.request;
        let _span = ringscope::span!("span_3_arguments", number, tokens = number ^ 1, request);
        inside();
    }
}

struct NestedSpans;

impl Case for NestedSpans {
    const NAME: &'static str = "nested spans, 8 deep";
    const RECORDS_PER_CALL: u64 = 8;

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _first = ringscope::span!("nested_1");
        let _second = ringscope::span!("nested_2");
        let _third = ringscope::span!("nested_3");
        let _fourth = ringscope::span!("nested_4");
        let _fifth = ringscope::span!("nested_5");
        let _sixth = ringscope::span!("nested_6");
        let _seventh = ringscope::span!("nested_7");
        let _eighth = ringscope::span!("nested_8");
        inside();
    }
}

struct Instant;

impl Case for Instant {
    const NAME: &'static str = "instant";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        ringscope::instant!("instant", number);
        inside();
    }
}

struct Counter;

impl Case for Counter {
    const NAME: &'static str = "counter";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        ringscope::counter!("counter", number);
        inside();
    }
}

struct Phases {
    lap: Option<Lap>,
}

impl Case for Phases {
    const NAME: &'static str = "lap, per phase";
    const RECORDS_PER_CALL: u64 = 4;

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        if let Some(lap) = &mut self.lap {
            lap.next("attention");
            inside();
            lap.next("mlp");
            lap.next("sample");
            lap.next("embed");
        }
    }

    fn before(&mut self) {
        self.lap = Some(ringscope::lap!("embed"));
    }

    fn after(&mut self) {
        self.lap = None;
    }
}

struct Complete;

impl Case for Complete {
    const NAME: &'static str = "complete";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        ringscope::complete!("complete", number, 500);
        inside();
    }
}

struct RunTimeName {
    name: Box<str>,
}

impl RunTimeName {
    fn new() -> RunTimeName {
        RunTimeName {
            name: black_box("run_time_name_16").into(),
        }
    }
}

impl Case for RunTimeName {
    const NAME: &'static str = "span, run-time name";

    #[inline(always)]
    fn call(&mut self, _number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!(&*self.name);
        inside();
    }
}

struct LevelNotEnabled;

impl Case for LevelNotEnabled {
    const NAME: &'static str = "level not enabled";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!("verbose", number, level = verbose);
        inside();
    }
}

struct Off;

impl Case for Off {
    const NAME: &'static str = "off";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let _span = ringscope::span!("off", number);
        inside();
    }

    fn before(&mut self) {
        ringscope::set_level(Level::OFF);
    }

    fn after(&mut self) {
        ringscope::set_level(Level::DEFAULT);
    }
}

struct CompiledOut;

impl Case for CompiledOut {
    const NAME: &'static str = "compiled out";

    #[inline(always)]
    fn call(&mut self, number: u64, inside: impl FnOnce()) {
        let _span = ringscope_compiled_out::span!("compiled_out", number);
        inside();
    }
}
