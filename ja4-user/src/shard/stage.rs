//! What the stages of one packet share.

use super::engines::Engines;
use super::stats::CoreStats;
use crate::conntrack::connection::Connection;
use crate::conntrack::{Budget, Limits};
use crate::model::{CertificateAttributes, EventContext, EventHandler, FingerprintEvent, Side};

/// One packet on its way through the stages of a core.
pub(crate) struct Stage<'a, S> {
    /// Who sent it.
    pub(crate) side: Side,
    /// The packet as the cause of events.
    pub(crate) cause: EventContext,
    /// What one direction may hold.
    pub(crate) bounds: &'a Limits,
    /// What all of them may hold.
    pub(crate) budget: &'a mut Budget,
    /// What computes fingerprints.
    pub(crate) engines: &'a mut Engines,
    /// What is counted.
    pub(crate) stats: &'a mut CoreStats,
    /// Where events go.
    pub(crate) sink: &'a mut S,
}

/// What an event has beside its fingerprint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FingerprintContext<'a> {
    /// Of JA4T: TTL or hop limit of the SYN.
    pub(super) ttl: Option<u8>,
    /// Of JA4X: the certificate.
    pub(super) certificate: Option<&'a CertificateAttributes>,
}

/// Emits a fingerprint; `None`, of a method that this build leaves out, emits nothing.
pub(super) fn tell(
    connection: &mut Connection,
    fingerprint: Option<&ja4::Fingerprint>,
    side: Side,
    cause: EventContext,
    context: FingerprintContext<'_>,
    sink: &mut impl EventHandler,
) {
    let Some(fingerprint) = fingerprint else { return };
    let method = fingerprint.method();
    let count = connection.count(method);
    sink.fingerprint(&FingerprintEvent {
        cause,
        flow: &connection.identity,
        method,
        side,
        count,
        value: fingerprint.as_str(),
        raw: fingerprint.raw(),
        original: fingerprint.original(),
        raw_original: fingerprint.raw_original(),
        ttl: context.ttl,
        certificate: context.certificate,
        attributes: &connection.attributes,
    });
}
