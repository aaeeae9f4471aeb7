//! The saved state that a sensor starts with.

use std::sync::Arc;

use crate::detect::{first_seen, profile};
use crate::model::Time;
use crate::output::storage::{self, DatabaseReader, SavedStateLimits, StorageError};

/// First-seen values and profiles of a database.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// Start of the learning period of the live sensor.
    pub learning_since: Option<Time>,
    /// First-seen values, network-wide ones before those of hosts, each least recently seen first.
    pub first_seen: Vec<first_seen::FirstSeenFact>,
    /// Pairs of behaviour profiles.
    pub profiles: Vec<profile::ProfileRow>,
    /// Source of the profile pairs of this sensor.
    pub own: Arc<str>,
}

/// No saved state.
impl Default for SavedState {
    fn default() -> Self {
        Self { learning_since: None, first_seen: Vec::new(), profiles: Vec::new(), own: storage::OWN.into() }
    }
}

impl SavedState {
    /// Reads the saved state of a database, up to these limits.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn read(reader: &DatabaseReader, most: &SavedStateLimits) -> Result<Self, StorageError> {
        let (own, learning_since) = reader.sensor()?;
        let first_seen = reader.newest_first_seen(most)?.into_iter().map(|row| row.fact).collect();
        Ok(Self { learning_since, first_seen, profiles: reader.newest_profiles(most.pairs())?, own: own.into() })
    }
}
