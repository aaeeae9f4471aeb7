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
pub struct SensorSnapshot {
    /// The content of the `stats` event.
    pub stats: CounterGroup,
    /// How long ago threads told their counters.
    pub liveness: Liveness,
    /// The writer of the history, where there is one.
    pub storage: Option<WriterStatus>,
}

/// What comes to the control plane: where a [`SensorSnapshot`] is to go.
pub type SnapshotRequest = oneshot::Sender<SensorSnapshot>;

/// Sends a question to the engine, which answers with JSON objects, one line each.
pub type EngineClient = Arc<dyn Fn(EngineQuery, oneshot::Sender<Vec<Bytes>>) -> Result<(), QueryError> + Send + Sync>;

/// The server's connections to the engine and to the control plane.
#[derive(Clone)]
pub struct ApiState {
    engine: EngineClient,
    control: mpsc::Sender<SnapshotRequest>,
    lists: Arc<Semaphore>,
}

/// Lines that answer a question, and the right to hold them.
#[derive(Debug)]
pub(super) struct QueryResult {
    pub(super) lines: Vec<Bytes>,
    pub(super) held: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
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

impl QueryError {
    /// Why a question could not be enqueued: the queue is full, or its receiver is gone.
    #[must_use]
    pub const fn from_queue(is_full: bool) -> Self {
        if is_full { Self::Full } else { Self::Gone }
    }
}

impl ApiState {
    /// Asks this engine, and the control plane, which answers what it receives here.
    #[must_use]
    pub fn new(engine: EngineClient) -> (Self, mpsc::Receiver<SnapshotRequest>) {
        let (control, questions) = mpsc::channel(QUESTIONS);
        (Self { engine, control, lists: Arc::new(Semaphore::new(LISTS)) }, questions)
    }

    /// The sensor as it stands.
    pub(super) async fn snapshot(&self) -> Result<SensorSnapshot, QueryError> {
        let (answer, answered) = oneshot::channel();
        self.control.try_send(answer).map_err(|error| match error {
            ControlError::Full(_) => QueryError::Full,
            ControlError::Closed(_) => QueryError::Gone,
        })?;
        in_time(answered).await
    }

    /// What the engine says to a question.
    pub(super) async fn list(&self, query: EngineQuery) -> Result<QueryResult, QueryError> {
        let held = match timeout(PATIENCE, Arc::clone(&self.lists).acquire_owned()).await {
            Ok(Ok(held)) => held,
            Ok(Err(_)) => return Err(QueryError::Gone),
            Err(_) => return Err(QueryError::Full),
        };
        let (answer, answered) = oneshot::channel();
        (self.engine)(query, answer)?;
        Ok(QueryResult { lines: in_time(answered).await?, held })
    }
}

async fn in_time<T>(answered: oneshot::Receiver<T>) -> Result<T, QueryError> {
    match timeout(PATIENCE, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(QueryError::Gone),
        Err(_) => Err(QueryError::Late),
    }
}
