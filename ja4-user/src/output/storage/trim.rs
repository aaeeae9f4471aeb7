//! What is known is bounded: rows beyond what a sensor has room for go, those of no use to it first.

use rusqlite::{Connection, params};

use super::write_op::SavedStateLimits;

/// Values of the network (`?1` 0) or of hosts (1) beyond the newest `?2`.
const VALUES: &str = "DELETE FROM first_seen WHERE (value, host) IN (
    SELECT value, host FROM first_seen WHERE (length(host) > 0) = ?1 ORDER BY last DESC LIMIT -1 OFFSET ?2)";

/// Anchors beyond the newest `?1`, with all their companions.
const ANCHORS: &str = "DELETE FROM profile WHERE (pair, anchor) IN (
    SELECT pair, anchor FROM profile GROUP BY pair, anchor ORDER BY max(last) DESC LIMIT -1 OFFSET ?1)";

/// Companions beyond the `?1` seen most with their anchor, by all sensors together. `total`: a sum may be too large
/// for an integer.
const COMPANIONS: &str = "DELETE FROM profile WHERE (pair, anchor, companion) IN (
    SELECT pair, anchor, companion FROM (
        SELECT pair, anchor, companion,
            row_number() OVER (PARTITION BY pair, anchor ORDER BY total(count) DESC, max(last) DESC) AS rank
        FROM profile GROUP BY pair, anchor, companion)
    WHERE rank > ?1)";

/// Removes what is beyond the bounds.
pub(super) fn trim(database: &Connection, bounds: &SavedStateLimits) -> rusqlite::Result<()> {
    let SavedStateLimits { values, host_values, anchors, companions } = *bounds;
    for (of_host, most) in [(false, values), (true, host_values)] {
        let there: i64 = database
            .prepare_cached("SELECT count(*) FROM first_seen WHERE (length(host) > 0) = ?1")?
            .query_row([of_host], |row| row.get(0))?;
        if there > limit(most) {
            database.prepare_cached(VALUES)?.execute(params![of_host, limit(most)])?;
        }
    }
    database.prepare_cached(ANCHORS)?.execute([limit(anchors)])?;
    database.prepare_cached(COMPANIONS)?.execute([limit(companions)])?;
    Ok(())
}

/// As SQLite counts; the tables in memory hold one at least.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most.max(1)).unwrap_or(i64::MAX)
}
