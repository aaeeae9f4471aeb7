//! Labels from a database on the network. Off by default: each value is sent to the operator of the database.
//!
//! The engine has a [`Remote`] behind a lock: cache, queue and counters. A thread of its own sends the requests, one at a
//! time. Two bounded channels connect them, so that no shard waits for an answer. Failures are counted and not logged.
//!
//! Ages are in wall-clock time, not in event time: an answer expires also while no packets arrive.

mod answer;
mod circuit_breaker;
mod client;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use self::circuit_breaker::{BreakerState, CircuitBreaker};
use self::client::{FetchOutcome, RemoteClient};
pub use self::settings::{RemoteError, RemoteSettings};
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{Label, Method, counter_set};

/// Longest value that is looked up, bytes. Only JA4D values and values with many TCP options are longer.
const MAX_VALUE: usize = 256;

/// The cached answer for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAnswer {
    /// The label of the value.
    Known(Arc<Label>),
    /// The database has no label, or the last lookup failed.
    Unknown,
}

/// A label that the database returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteLabel {
    /// The method.
    pub method: Method,
    /// The value.
    pub value: Arc<str>,
    /// Its label.
    pub label: Arc<Label>,
}

counter_set! {
    /// Counters of a [`Remote`]. `requested = queued + dropped`, and `queued` is the sum of `hits`, `misses`, `failed`,
    /// `refused` and the values still pending.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RemoteStats as remote {
        /// Remote lookups served from the cache.
        counter cached,
        /// Remote lookups of a value with a pending request.
        counter joined,
        /// Remote lookups that need a request.
        counter requested,
        /// Requests dropped because the queue was full.
        counter dropped,
        /// Requests enqueued.
        counter queued,
        /// Requests with a label in the response.
        counter hits,
        /// Requests without a label in the response.
        counter misses,
        /// Requests that failed.
        ///
        /// No connection, a timeout, an unexpected status, invalid JSON, or an answer that is too large.
        counter failed,
        /// Requests rejected because the circuit breaker was open.
        counter refused,
        /// Times the circuit breaker opened.
        counter breaker_opened,
        /// Whether the circuit breaker is open.
        gauge breaker_open: bool,
        /// Values that remote lookup does not support.
        ///
        /// They are too long.
        counter unsupported,
        /// Cache entries evicted.
        counter evicted,
    }
}

/// A method and a value to look up.
type RemoteQuery = (Method, Arc<str>);

struct RemoteReply {
    query: RemoteQuery,
    outcome: RemoteOutcome,
    state: BreakerState,
    opened: u64,
}

enum RemoteOutcome {
    FetchOutcome(FetchOutcome),
    Refused,
}

#[derive(Debug)]
enum CacheEntry {
    /// A request is pending; further lookups of the value wait for it.
    Pending,
    Cached {
        answer: RemoteAnswer,
        until: Instant,
    },
}

/// Looks labels up in a database on the network.
#[derive(Debug)]
pub struct Remote {
    settings: RemoteSettings,
    /// Pending values are entries too; the queue bounds their number.
    cache: BoundedLruMap<RemoteQuery, CacheEntry>,
    queries: Sender<RemoteQuery>,
    replies: Receiver<RemoteReply>,
    stats: RemoteStats,
}

impl Remote {
    /// Starts the thread. It ends when the `Remote` is dropped, after the current request.
    ///
    /// # Errors
    /// A setting is invalid, or the thread cannot be started.
    pub fn start(settings: RemoteSettings) -> Result<Self, RemoteError> {
        let endpoint = settings.check()?;
        let roots = settings.roots().map_err(|error| RemoteError::Setting(format!("tls.ca: {error}")))?;
        let (queries, from_engine) = bounded(settings.queue);
        // If the engine does not drain it, the thread blocks, the queue fills, and requests are dropped.
        let (to_engine, replies) = bounded(settings.queue);
        let client = RemoteClient::new(&settings, endpoint, &roots);
        let breaker = CircuitBreaker::new(settings.breaker_failures, settings.breaker_reset.0);
        thread::Builder::new()
            .name("ja4-lookup".to_owned())
            .spawn(move || serve(&client, breaker, &from_engine, &to_engine))
            .map_err(RemoteError::Thread)?;
        let cache = BoundedLruMap::new(settings.cache);
        Ok(Self { settings, cache, queries, replies, stats: RemoteStats::default() })
    }

    /// Returns the cached answer for a value. Otherwise returns `None` and queues a request, unless one is pending or the
    /// queue is full; [`Self::drain`] returns the answer. Does not wait.
    pub fn lookup(&mut self, method: Method, value: &str) -> Option<RemoteAnswer> {
        if !self.settings.methods.has(method) {
            return None;
        }
        if value.len() > MAX_VALUE {
            self.stats.unsupported += 1;
            return Some(RemoteAnswer::Unknown);
        }
        // A query has the hash of its method and value, so a cached one is found without an allocation.
        let same = |(held, text): &RemoteQuery| *held == method && **text == *value;
        match self.cache.find_mut(&(method, value), same) {
            Some((_, CacheEntry::Pending)) => {
                self.stats.joined += 1;
                return None;
            }
            Some((_, CacheEntry::Cached { answer, until })) if Instant::now() < *until => {
                self.stats.cached += 1;
                return Some(answer.clone());
            }
            Some((_, CacheEntry::Cached { .. })) | None => {}
        }
        self.stats.requested += 1;
        let query = (method, Arc::from(value));
        match self.queries.try_send(query.clone()) {
            Ok(()) => {
                self.stats.queued += 1;
                self.cache.insert(query, CacheEntry::Pending);
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.stats.dropped += 1,
        }
        None
    }

    /// Caches the answers that arrived, and returns the next one with a label. `None`: there is no further one. Does not
    /// wait.
    pub fn drain(&mut self) -> Option<RemoteLabel> {
        while let Ok(reply) = self.replies.try_recv() {
            if let Some(label) = self.cache_reply(reply) {
                return Some(label);
            }
        }
        None
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> RemoteStats {
        RemoteStats { evicted: self.cache.evicted(), ..self.stats }
    }

    /// The number of cache entries.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Caches an answer. Returns it if it has a label.
    fn cache_reply(&mut self, reply: RemoteReply) -> Option<RemoteLabel> {
        let RemoteReply { query, outcome, state, opened } = reply;
        self.stats.breaker_opened = opened;
        self.stats.breaker_open = state == BreakerState::Open;
        let RemoteSettings { hit_age, miss_age, breaker_reset, .. } = &self.settings;
        let (answer, age) = match outcome {
            RemoteOutcome::FetchOutcome(FetchOutcome::Hit(label)) => {
                self.stats.hits += 1;
                (RemoteAnswer::Known(Arc::new(label)), hit_age)
            }
            RemoteOutcome::FetchOutcome(FetchOutcome::Miss) => {
                self.stats.misses += 1;
                (RemoteAnswer::Unknown, miss_age)
            }
            // Cached until the breaker may close: a frequent value must not fill the queue.
            RemoteOutcome::FetchOutcome(FetchOutcome::Failed) => {
                self.stats.failed += 1;
                (RemoteAnswer::Unknown, breaker_reset)
            }
            RemoteOutcome::Refused => {
                self.stats.refused += 1;
                (RemoteAnswer::Unknown, breaker_reset)
            }
        };
        let until = Instant::now() + age.0;
        self.cache.insert(query.clone(), CacheEntry::Cached { answer: answer.clone(), until });
        let (method, value) = query;
        match answer {
            RemoteAnswer::Known(label) => Some(RemoteLabel { method, value, label }),
            RemoteAnswer::Unknown => None,
        }
    }
}

/// Sends requests until the `Remote` is dropped.
fn serve(
    client: &RemoteClient,
    mut breaker: CircuitBreaker,
    queries: &Receiver<RemoteQuery>,
    replies: &Sender<RemoteReply>,
) {
    for query in queries {
        let outcome = if breaker.admits(Instant::now()) {
            let fetched = client.fetch(query.0, &query.1);
            match fetched {
                FetchOutcome::Failed => breaker.failed(Instant::now()),
                FetchOutcome::Hit(_) | FetchOutcome::Miss => breaker.succeeded(),
            }
            RemoteOutcome::FetchOutcome(fetched)
        } else {
            RemoteOutcome::Refused
        };
        let reply = RemoteReply { query, outcome, state: breaker.state(), opened: breaker.opened() };
        if replies.send(reply).is_err() {
            return;
        }
    }
}
