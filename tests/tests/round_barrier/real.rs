//! With the primitives of the sensor.

mod sync {
    pub(super) use std::hint::spin_loop;
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(super) use std::sync::{Condvar, Mutex, PoisonError};
}

#[path = "../../../ja4-user/src/runtime/round_barrier.rs"]
mod round_barrier;

use std::sync::atomic::AtomicU64 as Counter;
use std::sync::atomic::Ordering;
use std::thread;

use round_barrier::RoundBarrier;

#[test]
fn no_thread_is_ahead_of_another_by_more_than_a_step() {
    const THREADS: usize = 16;
    const ROUNDS: u64 = 500;
    for barrier in [RoundBarrier::new(THREADS), RoundBarrier::with_spins(THREADS, 100)] {
        let steps = Counter::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        steps.fetch_add(1, Ordering::SeqCst);
                        assert!(barrier.wait());
                        // Every thread has taken the step, and none has taken the next one.
                        assert_eq!(steps.load(Ordering::SeqCst), round * THREADS as u64);
                        assert!(barrier.wait());
                    }
                });
            }
        });
    }
}

#[test]
fn a_panic_of_one_thread_releases_the_others() {
    let barrier = RoundBarrier::new(3);
    let waits = thread::scope(|scope| {
        let waiting = [0, 1].map(|_| scope.spawn(|| barrier.wait()));
        let panics = scope.spawn(|| {
            let _guard = barrier.guard();
            panic!("a defect");
        });
        assert!(panics.join().is_err());
        waiting.map(|thread| thread.join().unwrap())
    });
    assert_eq!(waits, [false, false]);
    assert!(!barrier.wait(), "the barrier stays broken");
}
