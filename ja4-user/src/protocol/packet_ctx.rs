//! The context of one packet.

use ja4::{Fingerprint, Forms, Hashers, Input};

use super::stats::ProtocolStats;
use crate::conntrack::{AppState, Connection};
use crate::model::{CertificateAttributes, EventContext, EventHandler, FingerprintEvent, Side};

/// What is computed of the messages that are parsed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FingerprintOptions {
    /// Forms of the fingerprints.
    pub forms: Forms,
    /// Whether JA3 and JA3S are computed too.
    pub ja3: bool,
}

/// One packet of a connection, and everything that its stages use except buffers: those are arguments of the stages that
/// buffer something.
pub(crate) struct PacketCtx<'a, A: AppState, S> {
    /// Sender of the packet.
    pub(crate) side: Side,
    /// Context of the events that the packet causes.
    pub(crate) event: EventContext,
    /// Whether text of no known protocol belongs to SSH.
    pub(crate) is_ssh: bool,
    /// Its connection.
    pub(crate) connection: &'a mut Connection<A>,
    /// Computes fingerprints.
    pub(crate) hashers: &'a mut Hashers,
    /// Whether JA3 and JA3S are computed too.
    pub(crate) ja3: bool,
    /// The counters.
    pub(crate) stats: &'a mut ProtocolStats,
    /// Receives events.
    pub(crate) events: &'a mut S,
}

/// Values of an event besides its fingerprint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FingerprintDetails<'a> {
    /// Of JA4T: TTL or hop limit of the SYN.
    pub(crate) ttl: Option<u8>,
    /// Of JA4X: attributes of the certificate.
    pub(crate) certificate: Option<&'a CertificateAttributes>,
}

impl<A: AppState, S: EventHandler> PacketCtx<'_, A, S> {
    /// Computes and emits a fingerprint of a side, if its method is available in this build. Returns whether the input
    /// exceeded a bound of the method.
    pub(crate) fn emit(&mut self, side: Side, input: Input<'_>) -> bool {
        self.emit_with(side, input, FingerprintDetails::default())
    }

    /// As [`emit`](Self::emit), with details.
    pub(crate) fn emit_with(&mut self, side: Side, input: Input<'_>, details: FingerprintDetails<'_>) -> bool {
        let Some(fingerprint) = self.hashers.compute(input) else {
            return false;
        };
        let method = fingerprint.method();
        let count = self.connection.counts.increment(method);
        let event = FingerprintEvent {
            cause: self.event,
            method,
            side,
            count,
            value: fingerprint.as_str(),
            raw: fingerprint.raw(),
            original: fingerprint.original(),
            raw_original: fingerprint.raw_original(),
            ttl: details.ttl,
            certificate: details.certificate,
        };
        self.events.fingerprint(&event, &mut self.connection.record);
        Fingerprint::is_capped(fingerprint)
    }
}
