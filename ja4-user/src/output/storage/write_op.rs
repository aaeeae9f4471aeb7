//! What the writer takes.

use std::net::IpAddr;

use arcstr::ArcStr;

use crate::detect::first_seen;
use crate::detect::profile::{self, Row as Pair};
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, FlowIdentity, Method, Time};

/// Source of the pairs of a sensor that could not read the id of its database. They are stored under that id.
pub const OWN: &str = "here";

/// One thing to be stored.
#[derive(Clone, Debug)]
pub enum WriteOp {
    /// A fingerprint, as it happens. The first one of a flow makes the connection's row.
    Fingerprint {
        /// Whose it is.
        flow: FlowIdentity,
        /// Index into the run's list of interface names.
        interface: u32,
        /// The fingerprint.
        seen: FingerprintRecord,
    },
    /// The end of a connection. Its history is stored only if none of its fingerprints came before.
    ConnectionEnd(Box<ConnectionRecord>),
    /// How a connection stands that goes on, likewise.
    ConnectionUpdate(Box<ConnectionRecord>),
    /// A rule has fired.
    Alert(Box<Alert>),
    /// What is known of a value's first time, beside what was stored of it: the earlier first, the later last time, the
    /// larger count.
    FirstSeen(FirstSeenRow),
    /// Values that were last seen before this are known no more.
    ExpireFirstSeen {
        /// Event time.
        before: Time,
    },
    /// When the learning period began.
    LearningSince(Time),
    /// What is known beyond this, those seen longest ago first, is known no more.
    TrimSavedState(SavedStateLimits),
    /// A pair of a behaviour profile, likewise.
    Profile(Pair),
    /// The run has ended well. The last item of a run.
    RunEnd(RunEnd),
}

impl WriteOp {
    /// Whether it says as it stands what is known, and not what has happened: handed over again, it takes the place
    /// of what was stored.
    #[must_use]
    pub const fn is_saved_state(&self) -> bool {
        matches!(self, Self::FirstSeen(_) | Self::LearningSince(_) | Self::Profile(_))
    }
}

/// When a value was seen, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeenRow {
    /// Method.
    pub method: Method,
    /// The value.
    pub value: ArcStr,
    /// The host that showed it; `None`: anywhere on the network.
    pub host: Option<IpAddr>,
    /// First time.
    pub first: Time,
    /// Last time.
    pub last: Time,
    /// How often in all.
    pub count: u64,
    /// Whether it was learnt, so that nobody has to be told of it.
    pub approved: bool,
}

/// How much of what is known is kept: as much as a sensor that starts has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedStateLimits {
    /// Values seen network-wide.
    pub values: usize,
    /// Values seen at a host.
    pub host_values: usize,
    /// Anchors of behaviour profiles.
    pub anchors: usize,
    /// Companions of each; those seen least go first.
    pub companions: usize,
}

impl SavedStateLimits {
    /// What these settings have room for.
    #[must_use]
    pub const fn of(first_seen: &first_seen::Settings, profiles: &profile::Settings) -> Self {
        Self {
            values: first_seen.max_values,
            host_values: first_seen.max_host_values,
            anchors: profiles.max_anchors,
            companions: profiles.max_companions,
        }
    }

    /// Rows of behaviour profiles of one source.
    #[must_use]
    pub const fn pairs(&self) -> usize {
        self.anchors.saturating_mul(self.companions)
    }
}

/// A run of the sensor that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorRun {
    /// When, by the wall clock.
    pub started: Time,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Names of interfaces, by the index that records give.
    pub interfaces: Vec<String>,
    /// Capture files of a replay.
    pub files: Vec<String>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// When, by the wall clock.
    pub ended: Time,
    /// The last counters, a JSON object.
    pub counters: String,
}
