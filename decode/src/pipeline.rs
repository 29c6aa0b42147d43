//! Work that is done piece by piece on all threads, with a part of each piece that is done in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// What a piece of work goes through.
pub(crate) trait Stages: Sync {
    /// Room that a thread uses again from piece to piece.
    type Room: Default + Send;
    /// Why it failed.
    type Error: Send;

    /// Done on any thread, in any order.
    fn prepare(&self, piece: usize, room: &mut Self::Room) -> Result<(), Self::Error>;

    /// Done for one piece at a time, in their order.
    fn in_turn(&self, piece: usize, room: &mut Self::Room) -> Result<(), Self::Error>;

    /// Done on any thread, in any order, afterwards.
    fn complete(&self, piece: usize, room: &mut Self::Room) -> Result<(), Self::Error>;
}

/// Whose turn it is.
struct Turn<E> {
    next: usize,
    failure: Option<E>,
}

/// Runs `pieces` pieces on the threads of the current pool.
///
/// # Errors
///
/// The first failure of a stage; later pieces are left undone.
pub(crate) fn run<S: Stages>(stages: &S, pieces: usize) -> Result<(), S::Error> {
    let turn = Mutex::new(Turn {
        next: 0,
        failure: None,
    });
    let (changed, taken) = (Condvar::new(), AtomicUsize::new(0));
    let work = || {
        let mut room = S::Room::default();
        loop {
            let piece = taken.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces || !one(stages, piece, &mut room, &turn, &changed) {
                return;
            }
        }
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(pieces) {
            scope.spawn(|_| work());
        }
    });
    let turn = turn.into_inner().unwrap_or_else(PoisonError::into_inner);
    turn.failure.map_or(Ok(()), Err)
}

/// Takes one piece through its stages; false when it, or one before it, failed. A piece waits only for those before it,
/// which other threads hold and work on: some thread always goes on.
fn one<S: Stages>(
    stages: &S,
    piece: usize,
    room: &mut S::Room,
    turn: &Mutex<Turn<S::Error>>,
    changed: &Condvar,
) -> bool {
    let prepared = stages.prepare(piece, room);
    let lock = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let is_early = |turn: &mut Turn<S::Error>| turn.next < piece && turn.failure.is_none();
    let waited = changed.wait_while(lock, is_early);
    let mut lock = waited.unwrap_or_else(PoisonError::into_inner);
    if lock.failure.is_some() {
        return false;
    }
    let outcome = prepared.and_then(|()| stages.in_turn(piece, room));
    lock.next = piece + 1;
    lock.failure = outcome.err();
    let is_sound = lock.failure.is_none();
    drop(lock);
    changed.notify_all();
    if !is_sound {
        return false;
    }
    match stages.complete(piece, room) {
        Ok(()) => true,
        Err(error) => {
            let mut lock = turn.lock().unwrap_or_else(PoisonError::into_inner);
            lock.failure.get_or_insert(error);
            drop(lock);
            changed.notify_all();
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Squares {
        seen: Mutex<Vec<usize>>,
        fails_at: usize,
    }

    impl Stages for Squares {
        type Room = usize;
        type Error = usize;

        fn prepare(&self, piece: usize, room: &mut usize) -> Result<(), usize> {
            *room = piece * piece;
            if piece == self.fails_at {
                return Err(piece);
            }
            Ok(())
        }

        fn in_turn(&self, piece: usize, room: &mut usize) -> Result<(), usize> {
            assert_eq!(*room, piece * piece);
            self.seen.lock().unwrap().push(piece);
            Ok(())
        }

        fn complete(&self, _piece: usize, _room: &mut usize) -> Result<(), usize> {
            Ok(())
        }
    }

    #[test]
    fn turns_come_in_order_and_end_with_a_failure() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .unwrap();
        for (fails_at, seen, outcome) in [(1_000, 100, Ok(())), (37, 37, Err(37))] {
            let squares = Squares {
                seen: Mutex::new(Vec::new()),
                fails_at,
            };
            assert_eq!(pool.install(|| run(&squares, 100)), outcome);
            let order = squares.seen.into_inner().unwrap();
            assert!(order.iter().copied().eq(0..seen));
        }
    }
}
