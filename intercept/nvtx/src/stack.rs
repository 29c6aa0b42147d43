//! Ranges that are pushed and popped: a stack for each thread and domain.

use std::cell::RefCell;

use ringscope::c_abi;

use crate::domain::Domain;
use crate::event::Event;
use crate::range::OpenRange;
use crate::thread_name;

/// What `nvtxRangePop` gives for a domain without an open range, and both where a thread is at its end.
pub(crate) const NO_RANGE: i32 = -1;

/// A range that was pushed.
#[derive(Debug)]
struct Pushed {
    domain: &'static Domain,
    /// `None` when it began while nothing was recorded.
    range: Option<OpenRange>,
}

thread_local! {
    /// The ranges of all domains: those of two domains may end in any order.
    static STACK: RefCell<Vec<Pushed>> = const { RefCell::new(Vec::new()) };
}

/// Begins a range; how many ranges of its domain are around it.
pub(crate) fn push(event: &Event<'_>) -> i32 {
    thread_name::take();
    with_stack(|stack| {
        let level = level(stack, event.domain);
        stack.push(Pushed {
            domain: event.domain,
            range: OpenRange::begin(event, false),
        });
        level
    })
}

/// Ends the newest range of the domain; how many ranges were around it.
pub(crate) fn pop(domain: &'static Domain) -> i32 {
    with_stack(|stack| {
        let newest = stack.iter().rposition(|pushed| is(pushed.domain, domain));
        let Some(newest) = newest else {
            return NO_RANGE;
        };
        if let Some(range) = &stack[newest].range {
            range.end(c_abi::ticks());
        }
        stack.remove(newest);
        level(stack, domain)
    })
}

fn is(one: &Domain, other: &Domain) -> bool {
    core::ptr::eq(one, other)
}

fn level(stack: &[Pushed], domain: &Domain) -> i32 {
    let around = stack.iter().filter(|pushed| is(pushed.domain, domain));
    i32::try_from(around.count()).unwrap_or(i32::MAX)
}

fn with_stack(work: impl FnOnce(&mut Vec<Pushed>) -> i32) -> i32 {
    let done = STACK.try_with(|stack| stack.try_borrow_mut().map(|mut stack| work(&mut stack)));
    match done {
        Ok(Ok(level)) => level,
        // A signal handler came in between, or the thread is at its end.
        Ok(Err(_)) | Err(_) => NO_RANGE,
    }
}
