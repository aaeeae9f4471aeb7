//! What the writer takes.

use std::net::IpAddr;
use std::sync::Arc;

use crate::anomaly::profile::Row as Pair;
use crate::engine::alert::Alert;
use crate::engine::record::{Record, Seen};
use crate::event::{FlowIdentity, Method, Time};

/// One thing to be stored.
#[derive(Clone, Debug)]
pub enum Item {
    /// A fingerprint, as it happens. The first one of a flow makes the connection's row.
    Fingerprint {
        /// Whose it is.
        flow: FlowIdentity,
        /// Index into the run's list of interface names.
        interface: u32,
        /// The fingerprint.
        seen: Seen,
    },
    /// The end of a connection. Its history is stored only if none of its fingerprints came before.
    Connection(Box<Record>),
    /// A rule has fired.
    Alert(Box<Alert>),
    /// What is known of a value's first time: takes the place of what was stored of it.
    FirstSeen(FirstSeen),
    /// Values that were last seen before this are known no more.
    FirstSeenAged {
        /// Event time.
        before: Time,
    },
    /// When the learning period began.
    LearningSince(Time),
    /// A pair of a behaviour profile: takes the place of what was stored of it.
    Profile(Pair),
    /// The run has ended well. The last item of a run.
    RunEnd(RunEnd),
}

/// When a value was seen, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeen {
    /// Method.
    pub method: Method,
    /// The value.
    pub value: Arc<str>,
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

/// A run of the sensor that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
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
