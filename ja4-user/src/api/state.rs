//! Whom the server asks: the engine, and the control plane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc::error::TrySendError as ControlError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::liveness::Liveness;
use crate::model::{CounterGroup, EngineQuery};
use crate::output::storage::WriterStatus;

/// How long a question may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Questions that may wait for the control plane: one of each connection.
const QUESTIONS: usize = super::MAX_CONNECTIONS;

/// Lists that are made or on their way to a client at once. A list of 1000 is some megabytes, and costs the engine some
/// milliseconds.
const LISTS: usize = 4;

/// The sensor as it stands, as the control plane tells it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The content of the `stats` event.
    pub stats: CounterGroup,
    /// How long ago threads told their counters.
    pub liveness: Liveness,
    /// The writer of the history, where there is one.
    pub storage: Option<WriterStatus>,
}

/// What comes to the control plane: where a [`Snapshot`] is to go.
pub type Question = oneshot::Sender<Snapshot>;

/// Sends a question to the engine, which answers with JSON objects, one line each.
pub type AskEngine = Arc<dyn Fn(EngineQuery, oneshot::Sender<Vec<Bytes>>) -> Result<(), Unanswered> + Send + Sync>;

/// The server's connections to the engine and to the control plane.
#[derive(Clone)]
pub struct State {
    engine: AskEngine,
    control: mpsc::Sender<Question>,
    lists: Arc<Semaphore>,
}

/// Lines that answer a question, and the right to hold them.
#[derive(Debug)]
pub(super) struct List {
    pub(super) lines: Vec<Bytes>,
    pub(super) held: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The queue is full.
    #[error("the sensor is busy: what it has to do first fills its queue; ask again in a moment")]
    Full,
    /// No answer came in time.
    #[error("the sensor did not answer within 2 s; ask again in a moment")]
    Late,
    /// The sensor ends.
    #[error("the sensor is ending")]
    Gone,
}

impl Unanswered {
    /// Why a question could not be enqueued: the queue is full, or its receiver is gone.
    #[must_use]
    pub const fn from_queue(is_full: bool) -> Self {
        if is_full { Self::Full } else { Self::Gone }
    }
}

impl State {
    /// Asks this engine, and the control plane, which answers what it receives here.
    #[must_use]
    pub fn new(engine: AskEngine) -> (Self, mpsc::Receiver<Question>) {
        let (control, questions) = mpsc::channel(QUESTIONS);
        (Self { engine, control, lists: Arc::new(Semaphore::new(LISTS)) }, questions)
    }

    /// The sensor as it stands.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.control.try_send(answer).map_err(|error| match error {
            ControlError::Full(_) => Unanswered::Full,
            ControlError::Closed(_) => Unanswered::Gone,
        })?;
        in_time(answered).await
    }

    /// What the engine says to a question.
    pub(super) async fn list(&self, query: EngineQuery) -> Result<List, Unanswered> {
        let held = match timeout(PATIENCE, Arc::clone(&self.lists).acquire_owned()).await {
            Ok(Ok(held)) => held,
            Ok(Err(_)) => return Err(Unanswered::Gone),
            Err(_) => return Err(Unanswered::Full),
        };
        let (answer, answered) = oneshot::channel();
        (self.engine)(query, answer)?;
        Ok(List { lines: in_time(answered).await?, held })
    }
}

async fn in_time<T>(answered: oneshot::Receiver<T>) -> Result<T, Unanswered> {
    match timeout(PATIENCE, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Unanswered::Gone),
        Err(_) => Err(Unanswered::Late),
    }
}
