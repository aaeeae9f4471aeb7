//! A profile key and its values.

use std::sync::Arc;

use super::row::{PairKind, ProfileRow};
use crate::model::Time;

/// A borrowed [`ProfileId`] with the same hash.
#[derive(Clone, Copy, Hash)]
pub(super) struct ProfileIdRef<'a> {
    pub(super) pair: PairKind,
    pub(super) key: &'a str,
}

impl ProfileIdRef<'_> {
    pub(super) fn is(&self, id: &ProfileId) -> bool {
        self.pair == id.pair && *self.key == *id.key
    }
}

/// The kind of a pair and the profile key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileId {
    pub(super) pair: PairKind,
    pub(super) key: Arc<str>,
}

/// The values that a profile key was seen with.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Frequent values are near the front.
    pub(super) values: Vec<ProfileValue>,
    /// Sightings of the key with any value, evicted values included, by all sources together.
    pub(super) observations: u64,
    /// A value changed since it was stored, and the id is in the queue.
    pub(super) dirty: bool,
}

#[derive(Debug)]
pub(super) struct ProfileValue {
    value: Arc<str>,
    own: SourceCount,
    /// Counts of other sensors, by the index of their source.
    others: Vec<(u16, SourceCount)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SourceCount {
    /// 0: this source has not seen the value.
    count: u64,
    first: Time,
    last: Time,
    dirty: bool,
}

impl ProfileValue {
    fn total(&self) -> u64 {
        self.others.iter().fold(self.own.count, |sum, (_, other)| sum.saturating_add(other.count))
    }

    fn counts_mut(&mut self) -> impl Iterator<Item = (u16, &mut SourceCount)> {
        let others = self.others.iter_mut().map(|(source, other)| (*source, other));
        std::iter::once((0, &mut self.own)).chain(others)
    }

    fn rows(&self, id: &ProfileId, sources: &[Arc<str>]) -> impl Iterator<Item = (ProfileRow, bool)> {
        let others = self.others.iter().copied();
        let counts = std::iter::once((0, self.own)).chain(others).filter(|(_, of_source)| of_source.count > 0);
        counts.filter_map(move |(source, SourceCount { count, first, last, dirty })| {
            let ProfileId { pair, key } = id;
            let row = ProfileRow {
                source: Arc::clone(sources.get(usize::from(source))?),
                pair: *pair,
                key: Arc::clone(key),
                value: Arc::clone(&self.value),
                count,
                first,
                last,
            };
            Some((row, dirty))
        })
    }
}

impl Profile {
    /// Counts a sighting of a known value. Returns whether the value is known.
    pub(super) fn count(&mut self, value: &str, now: Time) -> bool {
        let Some(index) = self.values.iter().position(|known| *known.value == *value) else {
            return false;
        };
        if let Some(ProfileValue { own, .. }) = self.values.get_mut(index) {
            if own.count == 0 {
                own.first = now;
            }
            own.count = own.count.saturating_add(1);
            own.last = own.last.max(now);
            own.dirty = true;
        }
        self.observations = self.observations.saturating_add(1);
        // Each sighting moves a value one place forward: frequent values are found early without sorting.
        if index > 0 {
            self.values.swap(index, index - 1);
        }
        true
    }

    /// Adds a new value.
    pub(super) fn add(&mut self, value: &str, now: Time) {
        let own = SourceCount { count: 1, first: now, last: now, dirty: true };
        self.values.push(ProfileValue { value: value.into(), own, others: Vec::new() });
        self.observations = self.observations.saturating_add(1);
    }

    /// Merges a row by the larger count. Returns whether that changed anything.
    pub(super) fn merge(&mut self, row: &ProfileRow, source: u16) -> bool {
        let index = self.values.iter().position(|known| known.value == row.value);
        let index = index.unwrap_or_else(|| {
            let value = Arc::clone(&row.value);
            self.values.push(ProfileValue { value, own: SourceCount::default(), others: Vec::new() });
            self.values.len() - 1
        });
        let Some(value) = self.values.get_mut(index) else {
            return false;
        };
        if source > 0 && !value.others.iter().any(|(known, _)| *known == source) {
            value.others.push((source, SourceCount::default()));
        }
        let Some((_, stored)) = value.counts_mut().find(|(known, _)| *known == source) else {
            return false;
        };
        let first = if stored.count == 0 { row.first } else { stored.first.min(row.first) };
        let (count, last) = (stored.count.max(row.count), stored.last.max(row.last));
        let changed = (count, first, last) != (stored.count, stored.first, stored.last);
        self.observations = self.observations.saturating_add(count - stored.count);
        *stored = SourceCount { count, first, last, dirty: stored.dirty || changed };
        changed
    }

    /// Marks every value as stored.
    pub(super) fn clean(&mut self) {
        self.dirty = false;
        for value in &mut self.values {
            value.counts_mut().for_each(|(_, of_source)| of_source.dirty = false);
        }
    }

    /// Marks every value to be stored.
    pub(super) fn mark_dirty(&mut self) {
        self.dirty = true;
        for value in &mut self.values {
            value.counts_mut().for_each(|(_, of_source)| of_source.dirty = of_source.count > 0);
        }
    }

    /// Evicts the value seen least, of several the one seen longest ago. Returns its dirty rows.
    pub(super) fn evict(&mut self, id: &ProfileId, sources: &[Arc<str>]) -> Vec<ProfileRow> {
        let least = self.values.iter().enumerate().min_by_key(|(_, value)| {
            let last = value.others.iter().map(|(_, other)| other.last).max();
            (value.total(), last.map_or(value.own.last, |last| last.max(value.own.last)))
        });
        let Some(index) = least.map(|(index, _)| index) else {
            return Vec::new();
        };
        let value = self.values.remove(index);
        value.rows(id, sources).filter_map(|(row, dirty)| dirty.then_some(row)).collect()
    }

    /// Appends the dirty rows, and marks them as stored.
    pub(super) fn drain(&mut self, id: &ProfileId, sources: &[Arc<str>], rows: &mut Vec<ProfileRow>) {
        if !self.dirty {
            return;
        }
        let dirty = self.values.iter().flat_map(|value| value.rows(id, sources));
        rows.extend(dirty.filter_map(|(row, dirty)| dirty.then_some(row)));
        self.clean();
    }

    /// Every row of the profile.
    pub(super) fn rows(&self, id: &ProfileId, sources: &[Arc<str>]) -> impl Iterator<Item = ProfileRow> {
        self.values.iter().flat_map(|value| value.rows(id, sources)).map(|(row, _)| row)
    }
}
