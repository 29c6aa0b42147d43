//! Ranges that are pushed and popped: a stack for each thread and domain.

use std::cell::RefCell;

use ringscope::__private::{LEVEL_E2E, enabled};
use ringscope::c_abi;
use ringscope_ringbuf::layout::DropCause;

use crate::domain::Domain;
use crate::event::Event;
use crate::range::OpenRange;
use crate::thread_name;

/// What `nvtxRangePop` gives for a domain without an open range, and both where a thread is at its end.
pub(crate) const NO_RANGE: i32 = -1;

/// Ranges of a thread that are kept at most: a program may never pop what it pushes.
const MAX_PUSHED: usize = 4096;

/// A range that was pushed.
#[derive(Debug)]
struct Pushed {
    domain: &'static Domain,
    /// `None` when it began while nothing was recorded.
    range: Option<OpenRange>,
}

/// How many ranges of a domain a thread has open.
#[derive(Debug)]
struct Depth {
    domain: &'static Domain,
    /// On the stack.
    kept: u32,
    /// Pushed after them, when the stack was full.
    beyond: u32,
}

impl Depth {
    fn level(&self) -> i32 {
        i32::try_from(self.kept.saturating_add(self.beyond)).unwrap_or(i32::MAX)
    }
}

/// The ranges of all domains: those of two domains may end in any order.
#[derive(Debug)]
struct Stack {
    pushed: Vec<Pushed>,
    /// One a domain.
    depths: Vec<Depth>,
}

thread_local! {
    static STACK: RefCell<Stack> = const {
        RefCell::new(Stack { pushed: Vec::new(), depths: Vec::new() })
    };
}

/// Begins a range; how many ranges of its domain are around it.
pub(crate) fn push(event: &Event<'_>) -> i32 {
    thread_name::take();
    with_stack(|stack| {
        let is_full = stack.pushed.len() >= MAX_PUSHED;
        let depth = stack.depth(event.domain);
        let level = depth.level();
        // Of one domain, the newest is popped first: what follows one that is not kept isn't either.
        if is_full || depth.beyond > 0 {
            depth.beyond = depth.beyond.saturating_add(1);
            if enabled(LEVEL_E2E) {
                c_abi::count(DropCause::NoRing);
            }
            return level;
        }
        depth.kept += 1;
        stack.pushed.push(Pushed {
            domain: event.domain,
            range: OpenRange::begin(event, false),
        });
        level
    })
}

/// Ends the newest range of the domain; how many ranges were around it.
pub(crate) fn pop(domain: &'static Domain) -> i32 {
    with_stack(|stack| {
        let depth = stack.depth(domain);
        if depth.beyond > 0 {
            depth.beyond -= 1;
            return depth.level();
        }
        if depth.kept == 0 {
            return NO_RANGE;
        }
        depth.kept -= 1;
        let level = depth.level();
        let newest = stack
            .pushed
            .iter()
            .rposition(|pushed| is(pushed.domain, domain));
        if let Some(newest) = newest {
            let pushed = stack.pushed.remove(newest);
            if let Some(range) = pushed.range {
                range.end(c_abi::ticks());
            }
        }
        level
    })
}

fn is(one: &Domain, other: &Domain) -> bool {
    core::ptr::eq(one, other)
}

impl Stack {
    fn depth(&mut self, domain: &'static Domain) -> &mut Depth {
        let at = self
            .depths
            .iter()
            .position(|depth| is(depth.domain, domain));
        let at = at.unwrap_or_else(|| {
            self.depths.push(Depth {
                domain,
                kept: 0,
                beyond: 0,
            });
            self.depths.len() - 1
        });
        &mut self.depths[at]
    }
}

fn with_stack(work: impl FnOnce(&mut Stack) -> i32) -> i32 {
    let done = STACK.try_with(|stack| stack.try_borrow_mut().map(|mut stack| work(&mut stack)));
    match done {
        Ok(Ok(level)) => level,
        // A signal handler came in between, or the thread is at its end.
        Ok(Err(_)) | Err(_) => NO_RANGE,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PUSHED, NO_RANGE, STACK, pop, push};
    use crate::domain::{self, Domain};
    use crate::event::Event;

    fn event(domain: &'static Domain) -> Event<'static> {
        Event {
            domain,
            name: b"range",
            known: None,
            category: 0,
            payload: None,
        }
    }

    /// Kept and not kept of a domain.
    fn counts(domain: &'static Domain) -> (u32, u32) {
        STACK.with_borrow_mut(|stack| {
            let depth = stack.depth(domain);
            (depth.kept, depth.beyond)
        })
    }

    #[test]
    fn what_follows_a_range_that_is_not_kept_is_not_kept_either() {
        let one = domain::named(b"one").expect("memory");
        let other = domain::named(b"other").expect("memory");
        for level in 0..MAX_PUSHED as i32 {
            assert_eq!(push(&event(one)), level);
        }
        assert_eq!(push(&event(other)), 0);
        assert_eq!(pop(one), MAX_PUSHED as i32 - 1);
        // There is room again, but the range before it would be popped in its place.
        assert_eq!(push(&event(other)), 1);
        assert_eq!(counts(other), (0, 2));
        assert_eq!((pop(other), pop(other), pop(other)), (1, 0, NO_RANGE));
        assert_eq!(push(&event(other)), 0);
        assert_eq!(counts(other), (1, 0));
    }
}
