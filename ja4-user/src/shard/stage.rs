//! What the stages of one packet share.

use super::engines::Engines;
use super::stats::CoreStats;
use crate::conntrack::connection::Connection;
use crate::conntrack::{Budget, Limits};
use crate::model::{CertificateAttributes, EventContext, EventHandler, FingerprintEvent, Method, Side};
use ja4::fingerprint::Forms;

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

/// The forms of one fingerprint; those not asked for or not defined are absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values<'a> {
    pub(crate) value: &'a str,
    pub(crate) raw: Option<&'a str>,
    pub(crate) original: Option<&'a str>,
    pub(crate) raw_original: Option<&'a str>,
    /// Of JA4T: TTL or hop limit of the SYN.
    pub(crate) ttl: Option<u8>,
}

impl<'a> Values<'a> {
    /// The value, and its other forms if they are asked for: raw, original, raw original.
    pub(crate) fn with(forms: Forms, value: &'a str, others: [&'a str; 3]) -> Self {
        let [raw, original, raw_original] = others.map(|text| (forms == Forms::All).then_some(text));
        Self { value, raw, original, raw_original, ttl: None }
    }

    /// A fingerprint with a raw form, if it is asked for.
    #[cfg(feature = "ja4plus")]
    pub(crate) fn with_raw(forms: Forms, value: &'a str, raw: &'a str) -> Self {
        Self { raw: (forms == Forms::All).then_some(raw), ..Self::plain(value) }
    }

    /// A fingerprint that has one form only.
    #[cfg(feature = "ja4plus")]
    pub(crate) const fn plain(value: &'a str) -> Self {
        Self { value, raw: None, original: None, raw_original: None, ttl: None }
    }
}

/// Tells of a fingerprint.
pub(crate) fn tell(
    connection: &mut Connection,
    method: Method,
    side: Side,
    cause: EventContext,
    values: Values<'_>,
    certificate: Option<&CertificateAttributes>,
    sink: &mut impl EventHandler,
) {
    let count = connection.count(method);
    sink.fingerprint(&FingerprintEvent {
        cause,
        flow: &connection.identity,
        method,
        side,
        count,
        value: values.value,
        raw: values.raw,
        original: values.original,
        raw_original: values.raw_original,
        ttl: values.ttl,
        certificate,
        attributes: &connection.attributes,
    });
}
