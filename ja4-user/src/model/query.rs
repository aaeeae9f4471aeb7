//! Questions that the API asks the engine.

use std::net::IpAddr;

/// A question; the answer is a list of JSON objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineQuery {
    /// Connections that are open, the one heard of last first: at most so many, and only those of this host.
    Connections {
        /// At most this many.
        most: usize,
        /// Of this client or server.
        host: Option<IpAddr>,
    },
    /// Alerts, the newest first: at most so many.
    Alerts {
        /// At most this many.
        most: usize,
    },
    /// The rules in force.
    Rules,
}
