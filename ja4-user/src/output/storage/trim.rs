//! Trims saved state to its limits; the least useful rows are deleted first.

use rusqlite::{Connection, params};

use super::write_op::SavedStateLimits;

/// Network-wide values (`?1` 0) or values of hosts (1) beyond the latest `?2`.
const VALUES: &str = "DELETE FROM first_seen WHERE (value, host) IN (
    SELECT value, host FROM first_seen WHERE (length(host) > 0) = ?1 ORDER BY last DESC LIMIT -1 OFFSET ?2)";

/// Profile keys beyond the latest `?1`, with all their values.
const PROFILE_KEYS: &str = "DELETE FROM profile WHERE (pair, key) IN (
    SELECT pair, key FROM profile GROUP BY pair, key ORDER BY max(last) DESC LIMIT -1 OFFSET ?1)";

/// Profile values beyond the `?1` most frequent of their key, over all sensors. `total` avoids an integer overflow.
const PROFILE_VALUES: &str = "DELETE FROM profile WHERE (pair, key, value) IN (
    SELECT pair, key, value FROM (
        SELECT pair, key, value,
            row_number() OVER (PARTITION BY pair, key ORDER BY total(count) DESC, max(last) DESC) AS rank
        FROM profile GROUP BY pair, key, value)
    WHERE rank > ?1)";

/// Deletes rows beyond the limits.
pub(super) fn trim(database: &Connection, bounds: &SavedStateLimits) -> rusqlite::Result<()> {
    let SavedStateLimits { values, host_values, profile_keys, profile_values } = *bounds;
    for (is_of_host, max) in [(false, values), (true, host_values)] {
        let count: i64 = database
            .prepare_cached("SELECT count(*) FROM first_seen WHERE (length(host) > 0) = ?1")?
            .query_row([is_of_host], |row| row.get(0))?;
        if count > limit(max) {
            database.prepare_cached(VALUES)?.execute(params![is_of_host, limit(max)])?;
        }
    }
    database.prepare_cached(PROFILE_KEYS)?.execute([limit(profile_keys)])?;
    database.prepare_cached(PROFILE_VALUES)?.execute([limit(profile_values)])?;
    Ok(())
}

/// Converts a limit for SQLite. The tables in memory hold at least one entry.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max.max(1)).unwrap_or(i64::MAX)
}
