//! The history of a first-seen value.

use std::net::IpAddr;

use arcstr::ArcStr;

use crate::model::{Method, Time};

/// The history of a value. In storage, a row replaces the row of the same method, value and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSeenFact {
    /// The method.
    pub method: Method,
    /// The value.
    pub value: ArcStr,
    /// The local host; `None`: the network.
    pub host: Option<IpAddr>,
    /// The time of the first sighting.
    pub first: Time,
    /// The time of the last sighting.
    pub last: Time,
    /// The number of sightings.
    pub count: u64,
}
