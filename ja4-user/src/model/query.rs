//! Queries of the API and of attached readers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::DisplayFilter;
use super::field::{Field, FieldValue, Subject};
use crate::model::{ConnectionRecord, InterfaceNames};

/// A query. Each row of the answer is a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineQuery {
    /// Connections.
    Connections(ConnectionSelection),
    /// Clients.
    Hosts(RowSelection<HostSort>),
    /// Fingerprints.
    Values(RowSelection<ValueSort>),
    /// Numbers of connections, the hosts with the most bytes, and the most frequent values of each method.
    Summary,
    /// Alerts, the newest first.
    Alerts {
        /// The newest ones that are left out.
        skip: usize,
        /// At most this many.
        most: usize,
    },
    /// Active rules.
    Rules,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryAnswer {
    /// JSON objects.
    pub rows: Vec<Bytes>,
    /// Rows before some were skipped or cut.
    pub matched: usize,
    /// Some connections were not compared, because there are too many.
    pub is_partial: bool,
}

/// Which rows a query asks for, and their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSelection<S> {
    /// Only connections that this selects.
    pub filter: Option<Arc<DisplayFilter>>,
    /// What the rows are sorted by.
    pub sort: S,
    /// Whether the largest comes first.
    pub descending: bool,
    /// Rows that are left out before the first one.
    pub skip: usize,
    /// At most this many rows.
    pub most: usize,
}

/// Which connections a query asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSelection {
    /// The rows.
    pub rows: RowSelection<ConnectionSort>,
    /// Whether connections that have ended recently are included.
    pub with_ended: bool,
}

/// The order of connections.
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
    /// By the address of the client.
    Client,
    /// By the address and port of the server.
    Server,
    /// By the name of the server.
    Sni,
    /// By the application.
    App,
    /// By the most specific fingerprint of the client.
    Value,
}

/// The order of hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSort {
    /// By the number of connections.
    #[default]
    Connections,
    /// By the bytes of both sides.
    Bytes,
    /// By the number of alerts.
    Alerts,
    /// By the time of the last packet.
    Last,
    /// By address.
    Ip,
    /// By operating system.
    Os,
}

/// The order of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSort {
    /// By the number of connections.
    #[default]
    Connections,
    /// By the number of clients.
    Hosts,
    /// By the first time in these connections.
    FirstSeen,
    /// By the last time in these connections.
    Last,
    /// By method.
    Type,
    /// By value.
    Value,
    /// By label.
    Label,
}

/// What a row is sorted by; rows without it come first in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortKey {
    Absent,
    Number(u64),
    Address(IpAddr, u16),
    Text(Box<str>),
}

impl SortKey {
    /// Texts are compared without regard to upper and lower case.
    pub(crate) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text.to_lowercase().into()))
    }
}

impl ConnectionSort {
    /// What a connection is sorted by.
    pub(crate) fn key(self, record: &ConnectionRecord) -> SortKey {
        let ConnectionRecord { identity, start, last, packets, bytes, .. } = record;
        let field = |field: Field| match field.value(&Subject::of_record(record, None, None)) {
            Some(FieldValue::Text(text)) => SortKey::text(Some(text)),
            _ => SortKey::Absent,
        };
        match self {
            Self::Last => SortKey::Number(last.0),
            Self::Start => SortKey::Number(start.0),
            Self::Packets => SortKey::Number(packets.client.saturating_add(packets.server)),
            Self::Bytes => SortKey::Number(bytes.client.saturating_add(bytes.server)),
            Self::Client => SortKey::Address(identity.client.0, identity.client.1),
            Self::Server => SortKey::Address(identity.server.0, identity.server.1),
            Self::Sni => [Field::TlsSni, Field::HttpHostname, Field::DhcpHostname]
                .into_iter()
                .map(field)
                .find(|key| *key != SortKey::Absent)
                .unwrap_or(SortKey::Absent),
            Self::App => field(Field::AppName),
            Self::Value => field(Field::PrimaryValue),
        }
    }
}

impl<S> RowSelection<S> {
    /// Whether it includes a connection.
    pub(crate) fn includes(&self, record: &ConnectionRecord, interfaces: &InterfaceNames) -> bool {
        let subject = Subject::of_record(record, None, Some(interfaces));
        record.is_known && self.filter.as_ref().is_none_or(|filter| filter.matches(&subject))
    }

    /// Sorts rows, and returns those that were asked for.
    pub(crate) fn cut<T>(&self, mut rows: Vec<(SortKey, T)>) -> impl Iterator<Item = T> {
        rows.sort_by(|(a, _), (b, _)| if self.descending { b.cmp(a) } else { a.cmp(b) });
        rows.into_iter().skip(self.skip).take(self.most).map(|(_, row)| row)
    }
}
