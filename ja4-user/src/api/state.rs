//! Queries to the engine and to the control plane.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc::error::TrySendError as ControlError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::liveness::Liveness;
use super::metrics::MetricTable;
use crate::model::{CounterGroup, EngineQuery, QueryAnswer};
use crate::output::storage::WriterStatus;

/// Timeout of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Snapshot requests in the queue of the control plane: one per connection.
pub(crate) const MAX_REQUESTS: usize = super::MAX_CONNECTIONS;

/// Lists that are built or sent at once. A list of 1000 entries is some megabytes, and takes the engine some milliseconds.
const MAX_LISTS: usize = 4;

/// The current state of the sensor.
#[derive(Clone, Debug, Default)]
pub struct SensorSnapshot {
    /// The content of the `stats` event.
    pub stats: CounterGroup,
    /// Time since each thread last reported.
    pub liveness: Liveness,
    /// Status of the database writer, if any.
    pub storage: Option<WriterStatus>,
    /// Configured interfaces that are missing or cannot be attached, with the reason.
    pub unwatched: Vec<String>,
}

/// A request to the control plane: the sender of the [`SensorSnapshot`].
pub type SnapshotRequest = oneshot::Sender<SensorSnapshot>;

/// Sends a query to the engine, which replies with JSON objects, one per line.
pub type EngineClient = Arc<dyn Fn(EngineQuery, oneshot::Sender<QueryAnswer>) -> Result<(), QueryError> + Send + Sync>;

/// The server's connections to the engine and to the control plane.
#[derive(Clone)]
pub struct ApiState {
    engine: EngineClient,
    control: mpsc::Sender<SnapshotRequest>,
    lists: Arc<Semaphore>,
    pub(super) metrics: Arc<MetricTable>,
}

/// The lines of a query result, with the permit to hold them in memory.
#[derive(Debug)]
pub(super) struct QueryResult {
    pub(super) lines: Vec<Bytes>,
    pub(super) held: OwnedSemaphorePermit,
}

/// Why a query failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// The queue is full.
    #[error("cannot query the sensor: its queue is full; retry later")]
    Full,
    /// No reply within the timeout.
    #[error("cannot query the sensor: no reply within 2 s; retry later")]
    Timeout,
    /// The sensor is shutting down.
    #[error("cannot query the sensor: it is shutting down")]
    ShuttingDown,
}

impl QueryError {
    /// The error of a query that could not be enqueued: the queue is full, or its receiver was dropped.
    #[must_use]
    pub(crate) const fn from_queue(is_full: bool) -> Self {
        if is_full { Self::Full } else { Self::ShuttingDown }
    }
}

impl ApiState {
    /// Creates the state with the metrics of the `stats` event. `control` sends requests to the control plane.
    #[must_use]
    pub fn new(engine: EngineClient, control: mpsc::Sender<SnapshotRequest>, metrics: MetricTable) -> Self {
        Self { engine, control, lists: Arc::new(Semaphore::new(MAX_LISTS)), metrics: Arc::new(metrics) }
    }

    /// Requests a snapshot of the sensor.
    pub(super) async fn snapshot(&self) -> Result<SensorSnapshot, QueryError> {
        let (reply, replied) = oneshot::channel();
        self.control.try_send(reply).map_err(|error| match error {
            ControlError::Full(_) => QueryError::Full,
            ControlError::Closed(_) => QueryError::ShuttingDown,
        })?;
        in_time(replied).await
    }

    /// Queries the engine.
    pub(super) async fn list(&self, query: EngineQuery) -> Result<QueryResult, QueryError> {
        let held = match timeout(QUERY_TIMEOUT, Arc::clone(&self.lists).acquire_owned()).await {
            Ok(Ok(held)) => held,
            Ok(Err(_)) => return Err(QueryError::ShuttingDown),
            Err(_) => return Err(QueryError::Full),
        };
        let (reply, replied) = oneshot::channel();
        (self.engine)(query, reply)?;
        Ok(QueryResult { lines: in_time(replied).await?.rows, held })
    }
}

async fn in_time<T>(replied: oneshot::Receiver<T>) -> Result<T, QueryError> {
    match timeout(QUERY_TIMEOUT, replied).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err(QueryError::ShuttingDown),
        Err(_) => Err(QueryError::Timeout),
    }
}
