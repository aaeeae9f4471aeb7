//! Queries of the API for open connections. Each shard answers for its own.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::model::Time;
use crate::runtime::handoff::ShardWaker;

/// Queries that wait in a shard. There is one, unless the shard does not run.
const CAPACITY: usize = 8;

/// How long a query waits for the shards together. A shard that runs answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A query for the newest connections of a shard.
#[derive(Debug)]
pub struct ConnectionQuery {
    /// At most this many.
    pub(super) most: usize,
    /// Only connections of this client or server.
    pub(super) host: Option<IpAddr>,
    /// Receives the time of the last packet and the line of each, the newest first.
    pub(super) reply: Sender<Vec<(Time, Bytes)>>,
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

/// Returns the lines of the newest connections of all shards.
pub(super) fn newest(shards: &[ConnectionQuerySender], most: usize, host: Option<IpAddr>) -> Vec<Bytes> {
    let (reply, replies) = bounded(shards.len());
    for shard in shards {
        if shard.queue.try_send(ConnectionQuery { most, host, reply: reply.clone() }).is_ok() {
            shard.waker.wake();
        }
    }
    drop(reply);
    let deadline = Instant::now() + TIMEOUT;
    let mut lines: Vec<_> = std::iter::from_fn(|| replies.recv_deadline(deadline).ok()).flatten().collect();
    lines.sort_by_key(|(last, _)| Reverse(*last));
    lines.into_iter().take(most).map(|(_, line)| line).collect()
}
