//! With the primitives of loom, which runs every schedule of the threads, with the values that each schedule of the memory
//! allows.

mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use loom::hint::spin_loop;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Condvar, Mutex};
}

#[expect(dead_code, reason = "a panic ends a model")]
#[path = "../../../ja4-user/src/runtime/round_barrier.rs"]
mod round_barrier;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize as Value, Ordering};
use loom::thread;

use round_barrier::RoundBarrier;

/// In each step one thread reads what another one has written in the step before, and writes the next number. Without an
/// order between the two, loom has a schedule in which the old number is read; it also fails if all threads sleep.
fn check(threads: usize, steps: usize, spins: u32) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let barrier = Arc::new(RoundBarrier::with_spins(threads, spins));
        let value = Arc::new(Value::new(0));
        let run = |thread: usize| {
            let (barrier, value) = (Arc::clone(&barrier), Arc::clone(&value));
            move || {
                for step in 0..steps {
                    if step % threads == thread {
                        assert_eq!(value.load(Ordering::Relaxed), step);
                        value.store(step + 1, Ordering::Relaxed);
                    }
                    assert!(barrier.wait());
                }
            }
        };
        let others: Vec<_> = (1..threads).map(|thread| thread::spawn(run(thread))).collect();
        run(0)();
        assert_eq!(value.load(Ordering::Relaxed), steps);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn two_threads_that_sleep_meet_in_every_schedule() {
    check(2, 3, 0);
}

#[test]
fn two_threads_that_spin_meet_in_every_schedule() {
    check(2, 2, 1);
}

#[test]
fn three_threads_meet_in_every_schedule() {
    check(3, 2, 0);
}
