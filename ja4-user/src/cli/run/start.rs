//! Interruptible preparation: a signal ends it at any time, and slow steps are logged.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::time::interval;

use crate::cli::failure::Failure;
use crate::system::shutdown_watch::Shutdown;

/// A step that takes longer than this is logged.
const SLOW: Duration = Duration::from_millis(500);

/// Interval at which the duration of the current step is checked.
const CHECK: Duration = Duration::from_millis(100);

/// The current step, and when it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps(Arc<Mutex<Option<(&'static str, Instant)>>>);

impl Steps {
    /// Begins a step, which ends the previous one. `what` is logged if it is slow: `loading BPF programs`.
    pub(super) fn begin(&self, what: &'static str) {
        tracing::debug!("{what}");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((what, Instant::now()));
    }

    /// The current step if it is slow. Each step is returned once.
    fn slow(&self) -> Option<&'static str> {
        let mut step = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        step.take_if(|(_, began)| began.elapsed() > SLOW).map(|(what, _)| what)
    }
}

/// Runs `work` on a thread of its own. SIGINT or SIGTERM ends the process at once: a thread that waits for the
/// kernel's verifier or for a database cannot be asked to stop, and nothing is attached yet.
///
/// # Errors
/// The error of `work`.
pub(super) async fn interruptible<T: Send + 'static>(
    shutdown: &Shutdown,
    work: impl FnOnce(&Steps) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let steps = Steps::default();
    let mut done = tokio::task::spawn_blocking({
        let steps = steps.clone();
        move || work(&steps)
    });
    let mut check = interval(CHECK);
    loop {
        tokio::select! {
            done = &mut done => {
                return done.unwrap_or_else(|_| Err(Failure::run(anyhow!("a thread panicked; this is a bug"))));
            }
            () = shutdown.begun() => {
                tracing::info!("interrupted before programs were attached");
                std::process::exit(0);
            }
            _ = check.tick() => {
                if let Some(step) = steps.slow() {
                    tracing::info!("{step}...");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slow_step_is_logged_and_only_once() {
        let steps = Steps::default();
        assert_eq!(steps.slow(), None);
        steps.begin("opening the database");
        assert_eq!(steps.slow(), None);
        steps.begin("loading BPF programs");
        steps.0.lock().unwrap().as_mut().unwrap().1 -= 2 * SLOW;
        assert_eq!((steps.slow(), steps.slow()), (Some("loading BPF programs"), None));
    }
}
