//! One table of values: of the network, or of its hosts.

use std::collections::VecDeque;
use std::net::IpAddr;

use arcstr::ArcStr;

use super::Row;
use crate::detect::bounded::Bounded;
use crate::model::{Method, Time};

/// The queue of dirty keys is swept of those that are gone once it is twice as long as the table, and longer than
/// twice this.
const MIN_QUEUE: usize = 1024;

/// A value as it comes. It hashes as the [`Key`] that holds it.
#[derive(Clone, Copy, Hash)]
pub(super) struct KeyRef<'a> {
    pub(super) method: Method,
    pub(super) host: Option<IpAddr>,
    pub(super) value: &'a str,
}

impl KeyRef<'_> {
    fn is(&self, key: &Key) -> bool {
        self.method == key.method && self.host == key.host && *self.value == *key.value
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    method: Method,
    host: Option<IpAddr>,
    value: ArcStr,
}

#[derive(Debug)]
struct Entry {
    first: Time,
    last: Time,
    count: u64,
    /// Storage has it otherwise, and its key is in the queue.
    dirty: bool,
}

/// What [`Entries::see`] found.
pub(super) struct Seen {
    pub(super) new: bool,
    pub(super) first: Time,
}

/// Values in order of use, bounded in number and in bytes of text.
#[derive(Debug)]
pub(super) struct Entries {
    held: Bounded<Key, Entry>,
    /// Keys of dirty entries, each once; some of them may be gone.
    dirty: VecDeque<Key>,
    /// Nanoseconds that an entry is kept unseen.
    keep: u64,
    bytes: usize,
    max_bytes: usize,
    forgotten: u64,
}

fn row(key: &Key, entry: &Entry) -> Row {
    let Key { method, host, value } = key;
    let Entry { first, last, count, .. } = *entry;
    Row { method: *method, value: ArcStr::clone(value), host: *host, first, last, count }
}

impl Entries {
    pub(super) fn new(max: usize, max_bytes: usize, keep: u64) -> Self {
        Self { held: Bounded::new(max), dirty: VecDeque::new(), keep, bytes: 0, max_bytes, forgotten: 0 }
    }

    /// Takes note of a value. `text` gives the text that a new entry holds. What has to go for it, and storage does
    /// not have, is left in `gone`.
    #[inline]
    pub(super) fn see(
        &mut self,
        key: KeyRef<'_>,
        now: Time,
        gone: &mut Vec<Row>,
        text: impl FnOnce() -> ArcStr,
    ) -> Seen {
        let Some((held, entry)) = self.held.find_mut(&key, |held| key.is(held)) else {
            let key = Key { method: key.method, host: key.host, value: text() };
            self.add(key, Entry { first: now, last: now, count: 1, dirty: true }, gone);
            return Seen { new: true, first: now };
        };
        let new = now.0.saturating_sub(entry.last.0) > self.keep;
        if new {
            self.forgotten += 1;
            entry.first = now;
            entry.count = 0;
        }
        entry.first = entry.first.min(now);
        entry.count += 1;
        entry.last = entry.last.max(now);
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push_back(held.clone());
        }
        Seen { new, first: entry.first }
    }

    #[cold]
    fn add(&mut self, key: Key, entry: Entry, gone: &mut Vec<Row>) {
        self.bytes += key.value.len();
        self.dirty.push_back(key.clone());
        if self.dirty.len() > 2 * self.held.len().max(MIN_QUEUE) {
            let held = &self.held;
            self.dirty.retain(|key| held.peek(key, |held| held == key).is_some_and(|(_, entry)| entry.dirty));
        }
        let evicted = self.held.insert(key, entry);
        self.take_leave(evicted, gone);
        while self.bytes > self.max_bytes && self.held.len() > 1 {
            let evicted = self.held.evict();
            self.take_leave(evicted, gone);
        }
    }

    /// Takes a stored row. One that would have to go for it, goes.
    pub(super) fn load(&mut self, row: Row) {
        let Row { method, value, host, first, last, count } = row;
        let key = Key { method, host, value };
        if self.held.peek(&key, |held| *held == key).is_none() {
            self.bytes += key.value.len();
        }
        let evicted = self.held.insert(key, Entry { first, last, count, dirty: false });
        self.take_leave(evicted, &mut Vec::new());
        while self.bytes > self.max_bytes && self.held.len() > 1 {
            let evicted = self.held.evict();
            self.take_leave(evicted, &mut Vec::new());
        }
    }

    /// Every row, the one used longest ago first; nothing is left.
    pub(super) fn take(&mut self) -> Vec<Row> {
        self.dirty.clear();
        self.bytes = 0;
        std::iter::from_fn(|| self.held.pop()).map(|(key, entry)| row(&key, &entry)).collect()
    }

    /// Adds what came of a value to what was loaded of it. It is to be stored.
    pub(super) fn merge(&mut self, row: Row, gone: &mut Vec<Row>) {
        let Row { method, value, host, first, last, count } = row;
        let key = Key { method, host, value };
        if let Some((key, entry)) = self.held.find_mut(&key, |held| *held == key) {
            entry.first = entry.first.min(first);
            entry.last = entry.last.max(last);
            entry.count = entry.count.saturating_add(count);
            entry.dirty = true;
            self.dirty.push_back(key.clone());
        } else {
            self.add(key, Entry { first, last, count, dirty: true }, gone);
        }
    }

    /// Forgets at most `max` entries that are too old. One whose last time is still to come, after a wrong time stamp
    /// say, is passed by, so that those behind it grow old.
    pub(super) fn age(&mut self, now: Time, max: usize, gone: &mut Vec<Row>) {
        for _ in 0..max {
            // Times come nearly in order, so the one used longest ago is nearly the oldest.
            match self.held.oldest() {
                Some((_, entry)) if now.0.saturating_sub(entry.last.0) > self.keep => {}
                Some((_, entry)) if entry.last > now => return self.held.oldest_to_back(),
                _ => return,
            }
            let old = self.held.pop();
            self.forgotten += 1;
            self.take_leave(old, gone);
        }
    }

    fn take_leave(&mut self, entry: Option<(Key, Entry)>, gone: &mut Vec<Row>) {
        if let Some((key, entry)) = entry {
            self.bytes -= key.value.len();
            if entry.dirty {
                gone.push(row(&key, &entry));
            }
        }
    }

    /// Storage may have lost what it was given: all of it is dirty.
    pub(super) fn store_again(&mut self) {
        for (key, entry) in self.held.iter_mut() {
            if !entry.dirty {
                entry.dirty = true;
                self.dirty.push_back(key.clone());
            }
        }
    }

    /// Appends rows of dirty entries until `rows` holds `max`.
    pub(super) fn drain(&mut self, max: usize, rows: &mut Vec<Row>) {
        while rows.len() < max
            && let Some(key) = self.dirty.pop_front()
        {
            if let Some(entry) = self.held.peek_mut(&key, |held| *held == key)
                && entry.dirty
            {
                entry.dirty = false;
                rows.push(row(&key, entry));
            }
        }
    }

    /// The row of an entry that was made just now.
    pub(super) fn drain_one(&mut self, key: KeyRef<'_>) -> Option<Row> {
        let Self { held, dirty, .. } = self;
        let row = held.peek(&key, |held| key.is(held)).map(|(held, entry)| row(held, entry));
        // One that was dirty before it was forgotten stands further ahead in the queue, and stays there.
        if dirty.back().is_some_and(|last| key.is(last))
            && let Some(entry) = held.peek_mut(&key, |held| key.is(held))
        {
            entry.dirty = false;
            dirty.pop_back();
        }
        row
    }

    /// The text that an entry holds.
    pub(super) fn text(&self, key: KeyRef<'_>) -> Option<ArcStr> {
        self.held.peek(&key, |held| key.is(held)).map(|(held, _)| ArcStr::clone(&held.value))
    }

    pub(super) fn get(&self, key: KeyRef<'_>) -> Option<Row> {
        self.held.peek(&key, |held| key.is(held)).map(|(held, entry)| row(held, entry))
    }

    pub(super) fn forget(&mut self, key: KeyRef<'_>) -> bool {
        let key = Key { method: key.method, host: key.host, value: ArcStr::from(key.value) };
        let known = self.held.remove(&key).is_some();
        if known {
            self.bytes -= key.value.len();
        }
        known
    }

    pub(super) fn horizon(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.keep))
    }

    pub(super) fn len(&self) -> u64 {
        self.held.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    pub(super) fn evicted(&self) -> u64 {
        self.held.evicted()
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
