//! Queries for open connections. Each shard answers for its own.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::model::ConnectionSelection;
use crate::runtime::handoff::ShardWaker;

/// Queries that wait in a shard. There is one, unless the shard does not run.
const CAPACITY: usize = 8;

/// How long a query waits for the shards together. A shard that runs answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A query for connections of a shard.
#[derive(Debug)]
pub struct ConnectionQuery {
    pub(super) selection: ConnectionSelection,
    /// Receives what each is sorted by, and its line.
    pub(super) reply: Sender<Vec<(u64, Bytes)>>,
}

/// Sends queries to one shard.
#[derive(Debug)]
pub struct ConnectionQuerySender {
    queue: Sender<ConnectionQuery>,
    waker: ShardWaker,
}

/// Creates the queue of a shard, which `waker` wakes.
#[must_use]
pub fn channel(waker: ShardWaker) -> (ConnectionQuerySender, Receiver<ConnectionQuery>) {
    let (queue, receiver) = bounded(CAPACITY);
    (ConnectionQuerySender { queue, waker }, receiver)
}

/// Returns the lines of the selected connections of all shards.
pub(super) fn select(shards: &[ConnectionQuerySender], selection: ConnectionSelection) -> Vec<Bytes> {
    let (reply, replies) = bounded(shards.len());
    for shard in shards {
        if shard.queue.try_send(ConnectionQuery { selection, reply: reply.clone() }).is_ok() {
            shard.waker.wake();
        }
    }
    drop(reply);
    let deadline = Instant::now() + TIMEOUT;
    let mut lines: Vec<_> = std::iter::from_fn(|| replies.recv_deadline(deadline).ok()).flatten().collect();
    lines.sort_by_key(|(key, _)| Reverse(*key));
    lines.into_iter().take(selection.most).map(|(_, line)| line).collect()
}
