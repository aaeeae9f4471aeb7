//! The operations of the writer.

use std::sync::Arc;

use crate::detect::first_seen::{self, FirstSeenFact};
use crate::detect::profile::{self, ProfileRow};
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, FlowIdentity, InterfaceNames, Time};

/// Placeholder source of profile pairs before the id of the database is known. They are stored with that id.
pub(crate) const OWN: &str = "here";

/// An operation on the database.
#[derive(Clone, Debug)]
pub enum WriteOp {
    /// Inserts a fingerprint. The first one of a flow also inserts the connection.
    Fingerprint {
        /// The flow.
        flow: FlowIdentity,
        /// Index into the run's list of interface names.
        interface: u32,
        /// The fingerprint.
        seen: FingerprintRecord,
        /// When it was seen.
        at: SeenAt,
    },
    /// Replaces the row of a connection that has ended. Inserts its fingerprints if none was inserted before.
    ConnectionEnd(Box<ConnectionRecord>),
    /// Replaces the row of an open connection, likewise.
    ConnectionUpdate(Box<ConnectionRecord>),
    /// Inserts an alert.
    Alert(Box<Alert>),
    /// Merges a first-seen value: the earlier first time, the later last time, the larger count.
    FirstSeen(FirstSeenRow),
    /// Deletes first-seen values that were last seen before this time.
    ExpireFirstSeen {
        /// Event time.
        before: Time,
    },
    /// Stores the start of the learning period.
    LearningSince(Time),
    /// Trims saved state to these limits, least recently seen first.
    TrimSavedState(SavedStateLimits),
    /// Merges a pair of a behaviour profile.
    Profile(ProfileRow),
    /// Records the clean end of the run. The last operation of a run.
    RunEnd(RunEnd),
}

impl WriteOp {
    /// Whether the operation stores saved state, which can be sent again: it is idempotent.
    #[must_use]
    pub(crate) const fn is_saved_state(&self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::LearningSince(_) | Self::Profile(_))
    }
}

/// What the record of a fingerprint has in part.
#[derive(Clone, Copy, Debug)]
pub struct SeenAt {
    /// Time.
    pub time: Time,
    /// Number of the packet in a replay.
    pub packet: Option<u64>,
    /// Number among the fingerprints of the same method and connection, from 1.
    pub count: u32,
}

/// A first-seen value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeenRow {
    /// The history of the value.
    pub fact: FirstSeenFact,
    /// Whether it was first seen in the learning period.
    pub approved: bool,
}

/// Limits of saved state: what a starting sensor can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedStateLimits {
    /// Network-wide first-seen values.
    pub values: usize,
    /// First-seen values of hosts.
    pub host_values: usize,
    /// Keys of behaviour profiles.
    pub profile_keys: usize,
    /// Values per key; the least frequent are deleted first.
    pub profile_values: usize,
}

impl SavedStateLimits {
    /// Returns the limits of these settings.
    #[must_use]
    pub const fn of(first_seen: &first_seen::FirstSeenSettings, profiles: &profile::ProfileSettings) -> Self {
        Self {
            values: first_seen.max_values,
            host_values: first_seen.max_host_values,
            profile_keys: profiles.max_keys,
            profile_values: profiles.max_values,
        }
    }

    /// Returns the maximum number of profile rows of one source.
    #[must_use]
    pub const fn pairs(&self) -> usize {
        self.profile_keys.saturating_mul(self.profile_values)
    }
}

/// The start of a run.
#[derive(Clone, Debug)]
pub struct SensorRun {
    /// Time of the wall clock.
    pub started: Time,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Names of the interfaces, indexed by the interface of records. Names that are added later are stored with the first
    /// transaction after that.
    pub interfaces: Arc<InterfaceNames>,
    /// Capture files of a replay.
    pub files: Vec<String>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Time of the wall clock.
    pub ended: Time,
    /// The last counters, a JSON object.
    pub counters: String,
}
