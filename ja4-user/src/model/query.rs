//! Queries of the API to the engine.

use std::net::IpAddr;

/// A query. The response is a list of JSON objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineQuery {
    /// Open connections, the most recently active first.
    Connections {
        /// At most this many.
        most: usize,
        /// Only connections of this client or server.
        host: Option<IpAddr>,
    },
    /// Alerts, the newest first.
    Alerts {
        /// At most this many.
        most: usize,
    },
    /// Active rules.
    Rules,
}
