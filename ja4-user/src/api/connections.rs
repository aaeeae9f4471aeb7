//! The open HTTP connections. If the server is full, a slow one is evicted for a new one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Most connections at once. Each holds some 32 KiB of buffers, and the unsent part of its response.
pub(super) const MAX_CONNECTIONS: usize = 256;

/// Age from which a connection without a complete request may be evicted if the server is full. An ordinary client
/// sends its request at once.
const SLOW_REQUEST: Duration = Duration::from_millis(200);

/// Age from which any connection may be evicted if the server is full.
const SLOW_RESPONSE: Duration = Duration::from_secs(3);

/// One connection.
#[derive(Debug)]
struct OpenConnection {
    since: Instant,
    /// The request is complete.
    is_requested: Arc<AtomicBool>,
    task: AbortHandle,
}

impl OpenConnection {
    /// When it may be evicted.
    fn slow_at(&self) -> Instant {
        self.since + if self.is_requested.load(Ordering::Relaxed) { SLOW_RESPONSE } else { SLOW_REQUEST }
    }
}

/// All connections, the oldest first.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    tasks: JoinSet<()>,
    open: VecDeque<OpenConnection>,
}

impl OpenConnections {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_CONNECTIONS
    }

    /// Serves a connection with the task that `serve` makes, which sets the flag once the request is complete.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, serve: impl FnOnce(Arc<AtomicBool>) -> F) {
        let is_requested = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(serve(Arc::clone(&is_requested)));
        self.open.push_back(OpenConnection { since: Instant::now(), is_requested, task });
    }

    /// Waits until a connection has ended; forever if there is none.
    pub(super) async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|connection| !connection.task.is_finished());
    }

    /// When the first connection may be evicted.
    pub(super) fn evictable_at(&self) -> Option<Instant> {
        self.open.iter().map(OpenConnection::slow_at).min()
    }

    /// Evicts the connection that has been slow for longest, if any is slow. Returns whether one was evicted.
    pub(super) fn evict(&mut self) -> bool {
        let now = Instant::now();
        let slow = self.open.iter().enumerate().map(|(place, connection)| (connection.slow_at(), place));
        let slowest = slow.min().filter(|(at, _)| *at <= now);
        let evicted = slowest.and_then(|(_, place)| self.open.remove(place));
        if let Some(connection) = &evicted {
            connection.task.abort();
        }
        evicted.is_some()
    }

    /// Waits until all connections have ended.
    pub(super) async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends all connections.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}
