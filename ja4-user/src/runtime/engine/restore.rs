//! What was known when the sensor ended last.

use std::sync::Arc;

use crate::detect::{first_seen, profile};
use crate::model::Time;
use crate::output::storage::{self, DatabaseReader, SavedStateLimits, StorageError};

/// All of it.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// When the learning period of the live sensor began.
    pub learning_since: Option<Time>,
    /// Values, those of the network before those of hosts, the one seen longest ago first of each.
    pub first_seen: Vec<first_seen::Row>,
    /// Pairs of behaviour profiles.
    pub profiles: Vec<profile::Row>,
    /// The id under which this sensor's pairs are stored.
    pub own: Arc<str>,
}

/// Nothing.
impl Default for SavedState {
    fn default() -> Self {
        Self { learning_since: None, first_seen: Vec::new(), profiles: Vec::new(), own: storage::OWN.into() }
    }
}

impl SavedState {
    /// What a database holds, as far as there is room for it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(reader: &DatabaseReader, most: &SavedStateLimits) -> Result<Self, StorageError> {
        let (own, learning_since) = reader.sensor()?;
        let first_seen = reader.newest_first_seen(most)?.into_iter().map(row).collect();
        Ok(Self { learning_since, first_seen, profiles: reader.newest_profiles(most.pairs())?, own: own.into() })
    }
}

fn row(stored: storage::FirstSeenRow) -> first_seen::Row {
    let storage::FirstSeenRow { method, value, host, first, last, count, .. } = stored;
    first_seen::Row { method, value, host, first, last, count }
}
