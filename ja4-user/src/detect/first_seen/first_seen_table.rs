//! One table of values: of the network, or of its local hosts.

use std::collections::VecDeque;
use std::net::IpAddr;

use arcstr::ArcStr;

use super::fact::FirstSeenFact;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{Method, Time};

/// Keys of removed entries are swept from the queue of dirty keys once it is twice as long as the table, and longer than
/// twice this.
const MIN_QUEUE: usize = 1024;

/// A borrowed [`FirstSeenKey`] with the same hash.
#[derive(Clone, Copy, Hash)]
pub(super) struct FirstSeenKeyRef<'a> {
    pub(super) method: Method,
    pub(super) host: Option<IpAddr>,
    pub(super) value: &'a str,
}

impl FirstSeenKeyRef<'_> {
    fn is(&self, key: &FirstSeenKey) -> bool {
        self.method == key.method && self.host == key.host && *self.value == *key.value
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FirstSeenKey {
    method: Method,
    host: Option<IpAddr>,
    value: ArcStr,
}

#[derive(Debug)]
struct FirstSeenEntry {
    first: Time,
    last: Time,
    count: u64,
    /// It changed since it was stored, and its key is in the queue.
    dirty: bool,
}

/// The result of [`FirstSeenTable::observe`].
pub(super) struct RecordedSighting {
    pub(super) is_new: bool,
    pub(super) first: Time,
}

/// Values in order of use, bounded in number and in bytes of text.
#[derive(Debug)]
pub(super) struct FirstSeenTable {
    entries: BoundedLruMap<FirstSeenKey, FirstSeenEntry>,
    /// Keys of dirty entries, each once; some entries may be removed.
    dirty: VecDeque<FirstSeenKey>,
    /// Nanoseconds without a sighting after which an entry expires.
    max_age: u64,
    bytes: usize,
    max_bytes: usize,
    expired: u64,
}

fn row(key: &FirstSeenKey, entry: &FirstSeenEntry) -> FirstSeenFact {
    let FirstSeenKey { method, host, value } = key;
    let FirstSeenEntry { first, last, count, .. } = *entry;
    FirstSeenFact { method: *method, value: ArcStr::clone(value), host: *host, first, last, count }
}

impl FirstSeenTable {
    pub(super) fn new(max: usize, max_bytes: usize, max_age: u64) -> Self {
        Self { entries: BoundedLruMap::new(max), dirty: VecDeque::new(), max_age, bytes: 0, max_bytes, expired: 0 }
    }

    /// Records a sighting. `text` returns the text of a new entry. Dirty rows evicted for it are appended to `evicted`.
    #[inline]
    pub(super) fn observe(
        &mut self,
        key: FirstSeenKeyRef<'_>,
        now: Time,
        evicted: &mut Vec<FirstSeenFact>,
        text: impl FnOnce() -> ArcStr,
    ) -> RecordedSighting {
        let Some((held, entry)) = self.entries.find_mut(&key, |held| key.is(held)) else {
            let key = FirstSeenKey { method: key.method, host: key.host, value: text() };
            self.add(key, FirstSeenEntry { first: now, last: now, count: 1, dirty: true }, evicted);
            return RecordedSighting { is_new: true, first: now };
        };
        let is_new = now.0.saturating_sub(entry.last.0) > self.max_age;
        if is_new {
            self.expired += 1;
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
        RecordedSighting { is_new, first: entry.first }
    }

    #[cold]
    fn add(&mut self, key: FirstSeenKey, entry: FirstSeenEntry, evicted: &mut Vec<FirstSeenFact>) {
        self.bytes += key.value.len();
        self.dirty.push_back(key.clone());
        if self.dirty.len() > 2 * self.entries.len().max(MIN_QUEUE) {
            let entries = &self.entries;
            self.dirty.retain(|key| entries.peek(key, |held| held == key).is_some_and(|(_, entry)| entry.dirty));
        }
        self.insert(key, entry, evicted);
    }

    /// Inserts a stored row.
    pub(super) fn load(&mut self, row: FirstSeenFact) {
        let FirstSeenFact { method, value, host, first, last, count } = row;
        let key = FirstSeenKey { method, host, value };
        if self.entries.peek(&key, |held| *held == key).is_none() {
            self.bytes += key.value.len();
        }
        self.insert(key, FirstSeenEntry { first, last, count, dirty: false }, &mut Vec::new());
    }

    /// Inserts an entry (`bytes` already includes its text), and evicts entries until the table is within its bounds.
    fn insert(&mut self, key: FirstSeenKey, entry: FirstSeenEntry, evicted: &mut Vec<FirstSeenFact>) {
        let removed = self.entries.insert(key, entry);
        self.account_removed(removed, evicted);
        while self.bytes > self.max_bytes && self.entries.len() > 1 {
            let removed = self.entries.evict();
            self.account_removed(removed, evicted);
        }
    }

    /// Removes and returns every row, the least recently used first.
    pub(super) fn take(&mut self) -> Vec<FirstSeenFact> {
        self.dirty.clear();
        self.bytes = 0;
        std::iter::from_fn(|| self.entries.pop()).map(|(key, entry)| row(&key, &entry)).collect()
    }

    /// Merges a row of this run into the loaded row of the same value, and marks it as dirty.
    pub(super) fn merge(&mut self, row: FirstSeenFact, evicted: &mut Vec<FirstSeenFact>) {
        let FirstSeenFact { method, value, host, first, last, count } = row;
        let key = FirstSeenKey { method, host, value };
        if let Some((key, entry)) = self.entries.find_mut(&key, |held| *held == key) {
            entry.first = entry.first.min(first);
            entry.last = entry.last.max(last);
            entry.count = entry.count.saturating_add(count);
            entry.dirty = true;
            self.dirty.push_back(key.clone());
        } else {
            self.add(key, FirstSeenEntry { first, last, count, dirty: true }, evicted);
        }
    }

    /// Expires at most `max` entries. An entry with a last time in the future, after a wrong timestamp, is skipped so
    /// that the entries behind it expire.
    pub(super) fn expire(&mut self, now: Time, max: usize, evicted: &mut Vec<FirstSeenFact>) {
        for _ in 0..max {
            // Times are nearly in order, so the least recently used entry is nearly the oldest.
            match self.entries.oldest() {
                Some((_, entry)) if now.0.saturating_sub(entry.last.0) > self.max_age => {}
                Some((_, entry)) if entry.last > now => return self.entries.oldest_to_back(),
                _ => return,
            }
            let removed = self.entries.pop();
            self.expired += 1;
            self.account_removed(removed, evicted);
        }
    }

    /// Subtracts a removed entry from `bytes`, and appends its row if it is dirty.
    fn account_removed(&mut self, removed: Option<(FirstSeenKey, FirstSeenEntry)>, evicted: &mut Vec<FirstSeenFact>) {
        if let Some((key, entry)) = removed {
            self.bytes -= key.value.len();
            if entry.dirty {
                evicted.push(row(&key, &entry));
            }
        }
    }

    /// Marks every entry as dirty, because storage may have lost rows.
    pub(super) fn store_again(&mut self) {
        for (key, entry) in self.entries.iter_mut() {
            if !entry.dirty {
                entry.dirty = true;
                self.dirty.push_back(key.clone());
            }
        }
    }

    /// Appends rows of dirty entries until `rows` holds `max`.
    pub(super) fn drain(&mut self, max: usize, rows: &mut Vec<FirstSeenFact>) {
        while rows.len() < max
            && let Some(key) = self.dirty.pop_front()
        {
            if let Some(entry) = self.entries.peek_mut(&key, |held| *held == key)
                && entry.dirty
            {
                entry.dirty = false;
                rows.push(row(&key, entry));
            }
        }
    }

    /// Returns the row of an entry that was just inserted.
    pub(super) fn drain_one(&mut self, key: FirstSeenKeyRef<'_>) -> Option<FirstSeenFact> {
        let Self { entries, dirty, .. } = self;
        let row = entries.peek(&key, |held| key.is(held)).map(|(held, entry)| row(held, entry));
        // An entry that was dirty before it expired is further ahead in the queue and stays there.
        if dirty.back().is_some_and(|last| key.is(last))
            && let Some(entry) = entries.peek_mut(&key, |held| key.is(held))
        {
            entry.dirty = false;
            dirty.pop_back();
        }
        row
    }

    pub(super) fn get(&self, key: FirstSeenKeyRef<'_>) -> Option<FirstSeenFact> {
        self.entries.peek(&key, |held| key.is(held)).map(|(held, entry)| row(held, entry))
    }

    pub(super) fn delete(&mut self, key: FirstSeenKeyRef<'_>) -> bool {
        let key = FirstSeenKey { method: key.method, host: key.host, value: ArcStr::from(key.value) };
        let known = self.entries.remove(&key).is_some();
        if known {
            self.bytes -= key.value.len();
        }
        known
    }

    pub(super) fn horizon(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.max_age))
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    pub(super) fn evicted(&self) -> u64 {
        self.entries.evicted()
    }

    pub(super) fn expired(&self) -> u64 {
        self.expired
    }
}
