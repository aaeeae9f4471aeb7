//! Ids of fingerprint values, cached in memory.

use std::sync::Arc;

use arcstr::ArcStr;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{FingerprintRecord, KnownBad, Label, Method};

/// Maximum number of cached values, about 200 bytes each: more than a network shows in minutes, except for latencies, which
/// hardly repeat.
const MAX_CACHED: usize = 1 << 17;

/// A stored value: its id, and what its row has.
struct KnownValue {
    id: i64,
    label: Option<Arc<Label>>,
    known_bad: Option<Arc<KnownBad>>,
    raw: bool,
}

/// Ids by method and value.
pub(super) struct ValueIds {
    cache: BoundedLruMap<(Method, ArcStr), KnownValue>,
}

impl ValueIds {
    pub(super) fn new() -> Self {
        Self { cache: BoundedLruMap::new(MAX_CACHED) }
    }

    /// Clears the cache, after rows were rolled back or deleted.
    pub(super) fn clear(&mut self) {
        self.cache.clear();
    }

    /// Returns the id of a fingerprint's value and stores its label, known-bad match and raw form. Stored ones stay if the
    /// fingerprint has none.
    pub(super) fn of_fingerprint(
        &mut self,
        table: &mut ValueTable<'_>,
        fingerprint: &FingerprintRecord,
    ) -> rusqlite::Result<i64> {
        let key = (fingerprint.method, ArcStr::clone(&fingerprint.value.text));
        if let Some(cached) = self.cache.get_mut(&key) {
            let needs_update = is_changed(&cached.label, &fingerprint.value.label)
                || is_changed(&cached.known_bad, &fingerprint.value.known_bad)
                || (fingerprint.value.raw.is_some() && !cached.raw);
            if needs_update {
                table.update(cached.id, fingerprint)?;
                cached.label.clone_from(&fingerprint.value.label);
                cached.known_bad.clone_from(&fingerprint.value.known_bad);
                cached.raw |= fingerprint.value.raw.is_some();
            }
            return Ok(cached.id);
        }
        let id = match table.find(fingerprint.method, &fingerprint.value.text)? {
            Some(id) => id,
            None => table.insert(fingerprint.method, &fingerprint.value.text)?,
        };
        if fingerprint.value.label.is_some() || fingerprint.value.known_bad.is_some() || fingerprint.value.raw.is_some()
        {
            table.update(id, fingerprint)?;
        }
        let (label, known_bad) = (fingerprint.value.label.clone(), fingerprint.value.known_bad.clone());
        self.cache.insert(key, KnownValue { id, label, known_bad, raw: fingerprint.value.raw.is_some() });
        Ok(id)
    }

    /// Returns the id of a value.
    pub(super) fn of(&mut self, table: &mut ValueTable<'_>, method: Method, value: &ArcStr) -> rusqlite::Result<i64> {
        if let Some(cached) = self.cache.get_mut(&(method, ArcStr::clone(value))) {
            return Ok(cached.id);
        }
        match table.find(method, value)? {
            Some(id) => Ok(id),
            None => table.insert(method, value),
        }
    }
}

/// Whether `now` is present and differs from `before`. The same allocation is equal.
fn is_changed<T: PartialEq>(before: &Option<Arc<T>>, now: &Option<Arc<T>>) -> bool {
    match (before, now) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => !Arc::ptr_eq(before, now) && before != now,
    }
}

/// The statements on the table of values.
pub(super) struct ValueTable<'a> {
    find: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    update: CachedStatement<'a>,
}

impl<'a> ValueTable<'a> {
    pub(super) fn of(database: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: database.prepare_cached("SELECT id FROM fingerprint_value WHERE method = ?1 AND value = ?2")?,
            insert: database.prepare_cached("INSERT INTO fingerprint_value (method, value) VALUES (?1, ?2)")?,
            update: database.prepare_cached(
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

    fn insert(&mut self, method: Method, value: &str) -> rusqlite::Result<i64> {
        self.insert.insert(params![method.id(), value])
    }

    fn update(&mut self, id: i64, fingerprint: &FingerprintRecord) -> rusqlite::Result<()> {
        let (label, bad) = (fingerprint.value.label.as_deref(), fingerprint.value.known_bad.as_deref());
        self.update.execute(params![
            id,
            fingerprint.value.raw.as_deref(),
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
