//! Ids of fingerprint values, cached in memory.

use std::sync::Arc;

use arcstr::ArcStr;
use hashlink::LruCache;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::model::{FingerprintRecord, KnownBad, Label, Method};

/// Cached values, about 200 bytes each: more than a network shows in minutes, except for latencies, which hardly repeat.
const CACHED: usize = 1 << 17;

/// A value with an id.
struct KnownValue {
    id: i64,
    label: Option<Arc<Label>>,
    known_bad: Option<Arc<KnownBad>>,
    raw: bool,
}

/// Ids by method and value.
pub(super) struct ValueIds {
    cache: LruCache<(Method, ArcStr), KnownValue>,
}

impl ValueIds {
    pub(super) fn new() -> Self {
        Self { cache: LruCache::new(CACHED) }
    }

    /// Clears the cache after rows were rolled back or deleted.
    pub(super) fn clear(&mut self) {
        self.cache.clear();
    }

    /// Returns the id of a fingerprint's value and stores its label, known-bad match and raw form. Stored ones stay if the
    /// fingerprint has none.
    pub(super) fn of_seen(&mut self, table: &mut ValueTable<'_>, seen: &FingerprintRecord) -> rusqlite::Result<i64> {
        let key = (seen.method, ArcStr::clone(&seen.value));
        if let Some(known) = self.cache.get_mut(&key) {
            let is_changed = is_new(&known.label, &seen.label)
                || is_new(&known.known_bad, &seen.known_bad)
                || (seen.raw.is_some() && !known.raw);
            if is_changed {
                table.describe(known.id, seen)?;
                known.label.clone_from(&seen.label);
                known.known_bad.clone_from(&seen.known_bad);
                known.raw |= seen.raw.is_some();
            }
            return Ok(known.id);
        }
        let id = match table.find(seen.method, &seen.value)? {
            Some(id) => id,
            None => table.add(seen.method, &seen.value)?,
        };
        if seen.label.is_some() || seen.known_bad.is_some() || seen.raw.is_some() {
            table.describe(id, seen)?;
        }
        let (label, known_bad) = (seen.label.clone(), seen.known_bad.clone());
        self.cache.insert(key, KnownValue { id, label, known_bad, raw: seen.raw.is_some() });
        Ok(id)
    }

    /// Returns the id of a value.
    pub(super) fn of(&mut self, table: &mut ValueTable<'_>, method: Method, value: &ArcStr) -> rusqlite::Result<i64> {
        if let Some(known) = self.cache.get(&(method, ArcStr::clone(value))) {
            return Ok(known.id);
        }
        match table.find(method, value)? {
            Some(id) => Ok(id),
            None => table.add(method, value),
        }
    }
}

/// Whether `now` is present and differs from `before`. The same allocation is equal.
fn is_new<T: PartialEq>(before: &Option<Arc<T>>, now: &Option<Arc<T>>) -> bool {
    match (before, now) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => !Arc::ptr_eq(before, now) && before != now,
    }
}

/// The statements on the table of values.
pub(super) struct ValueTable<'a> {
    find: CachedStatement<'a>,
    add: CachedStatement<'a>,
    describe: CachedStatement<'a>,
}

impl<'a> ValueTable<'a> {
    pub(super) fn of(database: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: database.prepare_cached("SELECT id FROM fingerprint_value WHERE method = ?1 AND value = ?2")?,
            add: database.prepare_cached("INSERT INTO fingerprint_value (method, value) VALUES (?1, ?2)")?,
            describe: database.prepare_cached(
                "UPDATE fingerprint_value SET raw = coalesce(raw, ?2),
                    label_name = iif(?3 IS NULL, label_name, ?3), label_source = iif(?3 IS NULL, label_source, ?4),
                    label_category = iif(?3 IS NULL, label_category, ?5),
                    label_confidence = iif(?3 IS NULL, label_confidence, ?6),
                    known_bad_pattern = iif(?7 IS NULL, known_bad_pattern, ?7), known_bad_category = iif(?7 IS NULL, known_bad_category, ?8),
                    known_bad_confidence = iif(?7 IS NULL, known_bad_confidence, ?9), known_bad_note = iif(?7 IS NULL, known_bad_note, ?10)
                 WHERE id = ?1",
            )?,
        })
    }

    pub(super) fn find(&mut self, method: Method, value: &str) -> rusqlite::Result<Option<i64>> {
        self.find.query_row(params![method.id(), value], |row| row.get(0)).optional()
    }

    fn add(&mut self, method: Method, value: &str) -> rusqlite::Result<i64> {
        self.add.insert(params![method.id(), value])
    }

    fn describe(&mut self, id: i64, seen: &FingerprintRecord) -> rusqlite::Result<()> {
        let (label, bad) = (seen.label.as_deref(), seen.known_bad.as_deref());
        self.describe.execute(params![
            id,
            seen.raw.as_deref(),
            label.map(|label| &*label.name),
            label.map(|label| &*label.source),
            label.and_then(|label| label.category.as_deref()),
            label.and_then(|label| label.confidence),
            bad.map(|bad| &*bad.pattern),
            bad.map(|bad| &*bad.category),
            bad.map(|bad| bad.confidence),
            bad.map(|bad| &*bad.note),
        ])?;
        Ok(())
    }
}
