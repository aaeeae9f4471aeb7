//! The watchdog of a shutdown: one signal ends the process in time, whichever component blocks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{process, thread};

use anyhow::Context as _;
use crossbeam_channel::bounded;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};
use crate::system::signals::{INTERRUPTED, TerminationSignals};

/// Exit status of a process that its watchdog ends.
const OVERDUE: i32 = 1;

/// Time for the watchdog's line on standard error: its reader may block too.
const REPORT_LIMIT: Duration = Duration::from_millis(300);

/// Describes what a component has not written yet; `None`: nothing.
type Unfinished = Box<dyn Fn() -> Option<String> + Send>;

/// A shutdown that has begun or may begin.
///
/// A thread of its own waits for SIGINT and SIGTERM, so that no blocked component hides the signal. The first one
/// begins the shutdown, the second one ends the process at once. A shutdown that takes longer than
/// [`ShutdownPhase::Process`] allows is ended with exit status 1.
#[derive(Clone)]
pub(crate) struct Shutdown {
    deadline: ShutdownDeadline,
    /// Whether the shutdown has begun.
    begun: Arc<watch::Sender<bool>>,
    unfinished: Arc<Mutex<Vec<Unfinished>>>,
}

impl Shutdown {
    /// Starts the thread. `on_begin` is called when the shutdown begins.
    ///
    /// # Errors
    /// If signals cannot be handled, or the thread cannot be started.
    pub(crate) fn watch(on_begin: impl FnOnce() + Send + 'static) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _entered = runtime.enter();
            TerminationSignals::new()?
        };
        let shutdown =
            Self { deadline: ShutdownDeadline::default(), begun: Arc::default(), unfinished: Arc::default() };
        let watched = shutdown.clone();
        let watch = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = signals.next() => watched.begin(),
                    () = watched.begun() => {}
                }
                on_begin();
                let overdue = watched.deadline.at(ShutdownPhase::Process).unwrap_or_else(std::time::Instant::now);
                tokio::select! {
                    () = signals.next() => process::exit(INTERRUPTED.into()),
                    () = sleep_until(Instant::from_std(overdue)) => watched.end(),
                }
            });
        };
        thread::Builder::new().name("shutdown".to_owned()).spawn(watch).context("cannot handle signals")?;
        Ok(shutdown)
    }

    /// Begins the shutdown without a signal.
    pub(crate) fn begin(&self) {
        self.deadline.begin();
        self.begun.send_replace(true);
    }

    /// Waits until the shutdown has begun.
    pub(crate) async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        // The sender lives as long as this value.
        let _seen = begun.wait_for(|begun| *begun).await;
    }

    /// The deadlines that all components share.
    pub(crate) const fn deadline(&self) -> &ShutdownDeadline {
        &self.deadline
    }

    /// Registers a component: if the watchdog ends the process, it reports what the component has not written.
    pub(crate) fn on_overdue(&self, unfinished: impl Fn() -> Option<String> + Send + 'static) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(unfinished));
    }

    fn end(&self) {
        let limit = ShutdownPhase::Process.limit().as_secs();
        let (reported, done) = bounded::<()>(0);
        let unfinished = Arc::clone(&self.unfinished);
        let report = move || {
            let unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            let lost: Vec<_> = unfinished.iter().filter_map(|of| of()).collect();
            let lost = if lost.is_empty() { String::new() } else { format!("; lost: {}", lost.join(", ")) };
            tracing::error!("shutdown took longer than {limit} s, ended by the watchdog{lost}");
            drop(reported);
        };
        if thread::Builder::new().name("overdue".to_owned()).spawn(report).is_ok() {
            let _done = done.recv_timeout(REPORT_LIMIT);
        }
        process::exit(OVERDUE);
    }
}
