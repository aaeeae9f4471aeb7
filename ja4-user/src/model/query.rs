//! Queries of the API and of attached readers to the engine.

use std::net::IpAddr;

use serde::Deserialize;

use super::ConnectionRecord;

/// A query. The response is a list of JSON objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineQuery {
    /// Open connections.
    Connections(ConnectionSelection),
    /// Alerts, the newest first.
    Alerts {
        /// At most this many.
        most: usize,
    },
    /// Active rules.
    Rules,
}

/// Which open connections a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSelection {
    /// At most this many.
    pub most: usize,
    /// Only connections of this client or server.
    pub host: Option<IpAddr>,
    /// Their order.
    pub sort: ConnectionSort,
}

/// The order of connections, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionSort {
    /// By the time of the last packet.
    #[default]
    Last,
    /// By the time of the first packet.
    Start,
    /// By the packets of both sides.
    Packets,
    /// By the bytes of both sides.
    Bytes,
}

impl ConnectionSort {
    /// What a connection is sorted by.
    pub(crate) fn key(self, record: &ConnectionRecord) -> u64 {
        let ConnectionRecord { start, last, packets, bytes, .. } = record;
        match self {
            Self::Last => last.0,
            Self::Start => start.0,
            Self::Packets => packets.client.saturating_add(packets.server),
            Self::Bytes => bytes.client.saturating_add(bytes.server),
        }
    }
}

impl ConnectionSelection {
    /// Whether it includes a connection.
    pub(crate) fn includes(&self, record: &ConnectionRecord) -> bool {
        let (client, server) = (record.identity.client.0, record.identity.server.0);
        record.is_known && self.host.is_none_or(|host| host == client || host == server)
    }
}
