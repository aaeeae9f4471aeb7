//! One of several handshakes on the same ports.

use super::latency::Latencies;
use super::method_counts::MethodCounts;
use crate::model::{CowArc, QuicAttributes, Time, TlsAttributes};

/// The state of one of several handshakes on the same ports. While one of its datagrams is parsed, its state is in the
/// connection instead, see `Connection::swap_session`.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) tls: Option<CowArc<TlsAttributes>>,
    pub(super) quic: Option<CowArc<QuicAttributes>>,
    pub(super) encrypted: bool,
    pub(super) over_limit: bool,
    pub(super) latencies: Latencies,
    pub(super) counts: MethodCounts,
    /// Time of its last datagram.
    last: Time,
}

impl Session {
    /// The attributes of its handshake.
    pub fn tls(&self) -> Option<&TlsAttributes> {
        self.tls.as_deref()
    }

    /// The attributes of its handshake.
    pub(crate) fn tls_mut(&mut self) -> Option<&mut TlsAttributes> {
        self.tls.as_deref_mut()
    }

    /// Records the time of a datagram.
    pub fn touch(&mut self, now: Time) {
        self.last = now;
    }

    /// Whether the server has sent its ServerHello.
    pub(crate) fn is_answered(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
    }

    /// Order of relevance: an answered handshake before others, then the latest.
    pub(crate) fn relevance(&self) -> (bool, Time) {
        (self.is_answered(), self.last)
    }
}
