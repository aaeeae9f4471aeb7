//! An anchor and its companions.

use std::sync::Arc;

use super::row::{Pair, Row};
use crate::model::Time;

/// An anchor as it comes. It hashes as the [`Key`] that holds it.
#[derive(Clone, Copy, Hash)]
pub(super) struct KeyRef<'a> {
    pub(super) pair: Pair,
    pub(super) anchor: &'a str,
}

impl KeyRef<'_> {
    pub(super) fn is(&self, key: &Key) -> bool {
        self.pair == key.pair && *self.anchor == *key.anchor
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pair: Pair,
    pub(super) anchor: Arc<str>,
}

/// What an anchor was seen with.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    /// Those seen often lie near the front.
    pub(super) companions: Vec<Companion>,
    /// How often it was seen with any companion, also with those that had to go, by all sources together.
    pub(super) observations: u64,
    /// One of its companions is dirty, and its key is in the queue.
    pub(super) dirty: bool,
}

#[derive(Debug)]
pub(super) struct Companion {
    value: Arc<str>,
    own: Tally,
    /// Counts of other sensors, by the place of their source.
    others: Vec<(u16, Tally)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// 0: this source has not seen it.
    count: u64,
    first: Time,
    last: Time,
    dirty: bool,
}

impl Companion {
    fn total(&self) -> u64 {
        self.others.iter().fold(self.own.count, |sum, (_, tally)| sum.saturating_add(tally.count))
    }

    fn tallies_mut(&mut self) -> impl Iterator<Item = (u16, &mut Tally)> {
        let others = self.others.iter_mut().map(|(source, tally)| (*source, tally));
        std::iter::once((0, &mut self.own)).chain(others)
    }

    fn rows(&self, key: &Key, sources: &[Arc<str>]) -> impl Iterator<Item = (Row, bool)> {
        let others = self.others.iter().copied();
        let tallies = std::iter::once((0, self.own)).chain(others).filter(|(_, tally)| tally.count > 0);
        tallies.filter_map(move |(source, Tally { count, first, last, dirty })| {
            let Key { pair, anchor } = key;
            let row = Row {
                source: Arc::clone(sources.get(usize::from(source))?),
                pair: *pair,
                anchor: Arc::clone(anchor),
                companion: Arc::clone(&self.value),
                count,
                first,
                last,
            };
            Some((row, dirty))
        })
    }
}

impl Anchor {
    /// Counts a companion that is known. Whether it is.
    pub(super) fn again(&mut self, value: &str, now: Time) -> bool {
        let Some(place) = self.companions.iter().position(|companion| *companion.value == *value) else {
            return false;
        };
        if let Some(Companion { own, .. }) = self.companions.get_mut(place) {
            if own.count == 0 {
                own.first = now;
            }
            own.count = own.count.saturating_add(1);
            own.last = own.last.max(now);
            own.dirty = true;
        }
        self.observations = self.observations.saturating_add(1);
        // One place forward each time: those seen often are found early, and nothing is sorted.
        if place > 0 {
            self.companions.swap(place, place - 1);
        }
        true
    }

    /// Counts a companion that is not known.
    pub(super) fn add(&mut self, value: &str, now: Time) {
        let own = Tally { count: 1, first: now, last: now, dirty: true };
        self.companions.push(Companion { value: value.into(), own, others: Vec::new() });
        self.observations = self.observations.saturating_add(1);
    }

    /// Takes the larger of a source's counts. Whether that changed anything.
    pub(super) fn merge(&mut self, row: &Row, source: u16) -> bool {
        let place = self.companions.iter().position(|companion| companion.value == row.companion);
        let place = place.unwrap_or_else(|| {
            let value = Arc::clone(&row.companion);
            self.companions.push(Companion { value, own: Tally::default(), others: Vec::new() });
            self.companions.len() - 1
        });
        let Some(companion) = self.companions.get_mut(place) else {
            return false;
        };
        if source > 0 && !companion.others.iter().any(|(known, _)| *known == source) {
            companion.others.push((source, Tally::default()));
        }
        let Some((_, tally)) = companion.tallies_mut().find(|(known, _)| *known == source) else {
            return false;
        };
        let fresh = tally.count == 0;
        let first = if fresh { row.first } else { tally.first.min(row.first) };
        let (count, last) = (tally.count.max(row.count), tally.last.max(row.last));
        let changed = (count, first, last) != (tally.count, tally.first, tally.last);
        self.observations = self.observations.saturating_add(count - tally.count);
        *tally = Tally { count, first, last, dirty: tally.dirty || changed };
        changed
    }

    /// Nothing of it is to be stored.
    pub(super) fn clean(&mut self) {
        self.dirty = false;
        for companion in &mut self.companions {
            companion.tallies_mut().for_each(|(_, tally)| tally.dirty = false);
        }
    }

    /// All of it is to be stored.
    pub(super) fn soil(&mut self) {
        self.dirty = true;
        for companion in &mut self.companions {
            companion.tallies_mut().for_each(|(_, tally)| tally.dirty = tally.count > 0);
        }
    }

    /// Lets go of the companion seen least, of these the one seen longest ago. Gives its dirty rows.
    pub(super) fn evict(&mut self, key: &Key, sources: &[Arc<str>]) -> Vec<Row> {
        let least = self.companions.iter().enumerate().min_by_key(|(_, companion)| {
            let last = companion.others.iter().map(|(_, tally)| tally.last).max();
            (companion.total(), last.map_or(companion.own.last, |last| last.max(companion.own.last)))
        });
        let Some(place) = least.map(|(place, _)| place) else {
            return Vec::new();
        };
        let companion = self.companions.remove(place);
        companion.rows(key, sources).filter_map(|(row, dirty)| dirty.then_some(row)).collect()
    }

    /// Appends rows of what is dirty.
    pub(super) fn drain(&mut self, key: &Key, sources: &[Arc<str>], rows: &mut Vec<Row>) {
        if !self.dirty {
            return;
        }
        let dirty = self.companions.iter().flat_map(|companion| companion.rows(key, sources));
        rows.extend(dirty.filter_map(|(row, dirty)| dirty.then_some(row)));
        self.clean();
    }

    pub(super) fn rows(&self, key: &Key, sources: &[Arc<str>]) -> impl Iterator<Item = Row> {
        self.companions.iter().flat_map(|companion| companion.rows(key, sources)).map(|(row, _)| row)
    }
}
