//! The barrier at which the threads of a replay meet between two steps of a batch.

use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, PoisonError, spin_loop};

/// Checks of the barrier before a thread sleeps: some 50 µs.
const SPINS: u32 = 2000;

/// A barrier that lets all threads go on when one of them panics: else the others would wait for ever.
///
/// A thread spins for a moment before it sleeps: the steps of a batch take well under a millisecond, and a wakeup takes a
/// tenth of that.
#[derive(Debug)]
pub(super) struct RoundBarrier {
    threads: usize,
    /// Waiting threads.
    waiting: AtomicUsize,
    /// How often all threads met.
    met: AtomicU64,
    sleeping: Mutex<()>,
    changed: Condvar,
    is_broken: AtomicBool,
    spins: u32,
}

/// Breaks the barrier when it is dropped by a panic.
pub(super) struct BarrierGuard<'a>(&'a RoundBarrier);

impl RoundBarrier {
    pub(super) fn new(threads: usize) -> Self {
        let has_cpus = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= threads);
        Self::with_spins(threads, if has_cpus { SPINS } else { 0 })
    }

    /// A barrier. Its threads check `spins` times before they sleep.
    pub(super) fn with_spins(threads: usize, spins: u32) -> Self {
        Self {
            threads,
            waiting: AtomicUsize::new(0),
            met: AtomicU64::new(0),
            sleeping: Mutex::new(()),
            changed: Condvar::new(),
            is_broken: AtomicBool::new(false),
            spins,
        }
    }

    pub(super) fn guard(&self) -> BarrierGuard<'_> {
        BarrierGuard(self)
    }

    /// Waits for all threads. Returns false if one of them has panicked.
    pub(super) fn wait(&self) -> bool {
        let met = self.met.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.waiting.store(0, Ordering::Relaxed);
            let _sleeping = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
            self.met.store(met + 1, Ordering::Release);
            self.changed.notify_all();
        } else if !(0..self.spins).any(|_| self.has_passed(met)) {
            let mut sleeping = self.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
            while !self.has_passed(met) {
                sleeping = self.changed.wait(sleeping).unwrap_or_else(PoisonError::into_inner);
            }
        }
        !self.is_broken.load(Ordering::Relaxed)
    }

    fn has_passed(&self, met: u64) -> bool {
        spin_loop();
        self.met.load(Ordering::Acquire) != met || self.is_broken.load(Ordering::Relaxed)
    }
}

impl Drop for BarrierGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _sleeping = self.0.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.is_broken.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}
