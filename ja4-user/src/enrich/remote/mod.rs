//! Labels from a database on the network, off unless configured: each value goes to its operator.
//!
//! The engine's thread owns a [`Remote`]: the cache, what is asked for, the counters. A thread of its own does the
//! requests, one after the other. Between them are two bounded channels; there is no lock, and the engine never
//! waits. What goes wrong on the way is counted and never shown.
//!
//! Ages here are of the wall's time, not of events: an answer grows old while nothing is captured.

mod answer;
mod breaker;
mod client;
mod settings;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use foldhash::quality::RandomState;
use hashlink::LinkedHashMap;
use hashlink::linked_hash_map::RawEntryMut;

pub use self::breaker::{Breaker, State};
use self::client::{Client, Fetched};
pub use self::settings::{Settings, SettingsError};
use crate::model::{Label, Method};

/// Longest value that is asked for, bytes. Values of the specification are shorter, but for JA4D and long lists of TCP
/// options.
const MAX_VALUE: usize = 256;

/// What the cache knows of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whose it is.
    Known(Arc<Label>),
    /// The database does not know it, or could not be asked of late.
    Unknown,
}

/// An answer that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Method.
    pub method: Method,
    /// The value that was asked for.
    pub value: Arc<str>,
    /// Whose it is.
    pub label: Arc<Label>,
}

/// Counters of a [`Remote`]. `asked = queued + dropped`, and `queued` is the sum of what follows it and of what is
/// still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteStats {
    /// Questions that the cache answered, known or unknown.
    pub cached: u64,
    /// Questions for a value that is under way already.
    pub joined: u64,
    /// Questions that should be sent.
    pub asked: u64,
    /// Of these, those left out as the queue was full.
    pub dropped: u64,
    /// Of these, those put into the queue.
    pub queued: u64,
    /// Values that the database knows.
    pub hits: u64,
    /// Values that it does not know.
    pub misses: u64,
    /// Requests that failed: no connection, no answer in time, a status that is no answer, no JSON, too long.
    pub failed: u64,
    /// Values not asked for as the breaker was open.
    pub refused: u64,
    /// Times that the breaker opened.
    pub opened: u64,
    /// The breaker is open.
    pub open: bool,
    /// Values that are never asked for: too long.
    pub unfit: u64,
    /// Cache entries that had to go for others.
    pub evicted: u64,
}

/// What goes to the thread and what comes back.
type Question = (Method, Arc<str>);

struct Reply {
    question: Question,
    outcome: Outcome,
    state: State,
    opened: u64,
}

enum Outcome {
    Fetched(Fetched),
    Refused,
}

#[derive(Debug)]
enum Entry {
    /// Single flight: it was asked for, and no answer has come.
    UnderWay,
    Cached {
        answer: Answer,
        until: Instant,
    },
}

/// Asks a database on the network for labels.
#[derive(Debug)]
pub struct Remote {
    settings: Settings,
    /// In order of use. Values under way are few, as the queue is bounded; they count as entries.
    cache: LinkedHashMap<Question, Entry, RandomState>,
    questions: Sender<Question>,
    replies: Receiver<Reply>,
    stats: RemoteStats,
}

impl Remote {
    /// Starts the thread. It ends when the `Remote` is dropped, after the request under way.
    ///
    /// # Errors
    /// An endpoint that is no URL, or neither https nor on this host; a thread that cannot be started.
    pub fn start(settings: Settings) -> Result<Self, SettingsError> {
        let endpoint = settings.check()?;
        let (questions, from_engine) = bounded(settings.queue);
        // Where the engine does not drain it, the thread waits, the queue fills, and questions are dropped.
        let (to_engine, replies) = bounded(settings.queue);
        let client = Client::new(&settings, endpoint);
        let breaker = Breaker::new(settings.failures, settings.pause.0);
        thread::Builder::new()
            .name("ja4-lookup".to_owned())
            .spawn(move || serve(&client, breaker, &from_engine, &to_engine))
            .map_err(SettingsError::Thread)?;
        let cache = LinkedHashMap::with_hasher(RandomState::default());
        Ok(Self { settings, cache, questions, replies, stats: RemoteStats::default() })
    }

    /// What the cache knows of a value. `None`: nothing; it is asked for, if it is not already and the queue has room,
    /// and the answer comes through [`Self::drain`]. Returns at once.
    pub fn ask(&mut self, method: Method, value: &str) -> Option<Answer> {
        if !self.settings.methods.has(method) {
            return None;
        }
        if value.len() > MAX_VALUE {
            self.stats.unfit += 1;
            return Some(Answer::Unknown);
        }
        // A question hashes as the method and value that it holds; so a known one is found without making it.
        let hash = self.cache.hasher().hash_one((method, value));
        let same = |(held, text): &Question| *held == method && **text == *value;
        if let RawEntryMut::Occupied(mut entry) = self.cache.raw_entry_mut().from_hash(hash, same) {
            entry.to_back();
            match entry.get() {
                Entry::UnderWay => {
                    self.stats.joined += 1;
                    return None;
                }
                Entry::Cached { answer, until } if Instant::now() < *until => {
                    self.stats.cached += 1;
                    return Some(answer.clone());
                }
                Entry::Cached { .. } => {}
            }
        }
        self.stats.asked += 1;
        let question = (method, Arc::from(value));
        match self.questions.try_send(question.clone()) {
            Ok(()) => {
                self.stats.queued += 1;
                self.keep(question, Entry::UnderWay);
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.stats.dropped += 1,
        }
        None
    }

    /// Takes an answer that has come, and remembers it; values that are not known are only remembered. `None`: no
    /// further one has come. Never waits.
    pub fn drain(&mut self) -> Option<Found> {
        while let Ok(reply) = self.replies.try_recv() {
            if let Some(found) = self.take(reply) {
                return Some(found);
            }
        }
        None
    }

    /// Asks and waits for the answer: for commands, not for the engine. `Unknown` where none comes in `limit`.
    pub fn wait(&mut self, method: Method, value: &str, limit: Duration) -> Answer {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = self.ask(method, value) {
                return answer;
            }
            match self.replies.recv_deadline(deadline) {
                Ok(reply) => drop(self.take(reply)),
                Err(_) => return Answer::Unknown,
            }
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> RemoteStats {
        self.stats
    }

    /// Entries of the cache.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    fn take(&mut self, reply: Reply) -> Option<Found> {
        let Reply { question, outcome, state, opened } = reply;
        self.stats.opened = opened;
        self.stats.open = state == State::Open;
        let Settings { hit_age, miss_age, pause, .. } = &self.settings;
        let (answer, age) = match outcome {
            Outcome::Fetched(Fetched::Hit(label)) => {
                self.stats.hits += 1;
                (Answer::Known(Arc::new(label)), hit_age)
            }
            Outcome::Fetched(Fetched::Miss) => {
                self.stats.misses += 1;
                (Answer::Unknown, miss_age)
            }
            // Not asked for again before the breaker may try: a value that comes often must not fill the queue.
            Outcome::Fetched(Fetched::Failed) => {
                self.stats.failed += 1;
                (Answer::Unknown, pause)
            }
            Outcome::Refused => {
                self.stats.refused += 1;
                (Answer::Unknown, pause)
            }
        };
        let until = Instant::now() + age.0;
        self.keep(question.clone(), Entry::Cached { answer: answer.clone(), until });
        let (method, value) = question;
        match answer {
            Answer::Known(label) => Some(Found { method, value, label }),
            Answer::Unknown => None,
        }
    }

    fn keep(&mut self, question: Question, entry: Entry) {
        self.cache.insert(question, entry);
        if self.cache.len() > self.settings.cache.max(1) {
            self.cache.pop_front();
            self.stats.evicted += 1;
        }
    }
}

/// Answers questions until there is nobody to ask or to answer.
fn serve(client: &Client, mut breaker: Breaker, questions: &Receiver<Question>, replies: &Sender<Reply>) {
    for question in questions {
        let outcome = if breaker.admits(Instant::now()) {
            let fetched = client.fetch(question.0, &question.1);
            match fetched {
                Fetched::Failed => breaker.failed(Instant::now()),
                Fetched::Hit(_) | Fetched::Miss => breaker.succeeded(),
            }
            Outcome::Fetched(fetched)
        } else {
            Outcome::Refused
        };
        let reply = Reply { question, outcome, state: breaker.state(), opened: breaker.opened() };
        if replies.send(reply).is_err() {
            return;
        }
    }
}

/// Whether a host name is this host's own, for which cleartext HTTP is good enough.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
