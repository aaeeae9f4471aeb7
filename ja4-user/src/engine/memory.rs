//! What was known when the sensor ended last.

use std::sync::Arc;

use crate::anomaly::{first_seen, profile};
use crate::event::Time;
use crate::storage::forget::Forget;
use crate::storage::{self, Reader, StorageError};

/// All of it.
#[derive(Clone, Debug)]
pub struct Memory {
    /// When the learning period began.
    pub learning_since: Option<Time>,
    /// Values, the one seen longest ago first.
    pub first_seen: Vec<first_seen::Row>,
    /// Pairs of behaviour profiles.
    pub profiles: Vec<profile::Row>,
    /// The id under which this sensor's pairs are stored.
    pub own: Arc<str>,
}

/// Nothing.
impl Default for Memory {
    fn default() -> Self {
        Self { learning_since: None, first_seen: Vec::new(), profiles: Vec::new(), own: "here".into() }
    }
}

impl Memory {
    /// What a database holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(reader: &Reader) -> Result<Self, StorageError> {
        let (own, learning_since) = reader.sensor()?;
        let mut first_seen: Vec<_> = reader.first_seen(&Forget::default())?.into_iter().map(row).collect();
        first_seen.reverse();
        Ok(Self { learning_since, first_seen, profiles: reader.profiles()?, own: own.into() })
    }
}

fn row(stored: storage::FirstSeen) -> first_seen::Row {
    let storage::FirstSeen { method, value, host, first, last, count, .. } = stored;
    first_seen::Row { method, value, host, first, last, count }
}
