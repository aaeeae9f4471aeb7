//! Events of a batch that wait until all threads of a replay have met.

use crate::detect::detectors::Signal;
use crate::model::{
    CertificateAttributes, ConnectionRecord, EndReason, EventContext, FingerprintEvent, FingerprintRecord, Time,
};

/// An event that is noted in the record of its connection, and not evaluated.
#[derive(Debug)]
pub(super) struct DeferredEvent {
    pub(super) cause: EventContext,
    /// The connection as of the event.
    pub(super) record: ConnectionRecord,
    /// Evaluations that the start of the connection asks for.
    pub(super) start: Vec<Signal>,
    pub(super) kind: DeferredKind,
}

/// The kind of a [`DeferredEvent`].
#[derive(Debug)]
pub(super) enum DeferredKind {
    /// The last fingerprint in the history of the record, with the parts of the event that a record lacks.
    Fingerprint { count: u32, ttl: Option<u8>, details: Option<Box<DeferredDetails>> },
    /// A change of the connection.
    Progress,
    /// The end of the connection, or of the run while it is open.
    End,
    /// The report of a connection that was open at the end of the run.
    Open,
}

/// Parts of a fingerprint that few have.
#[derive(Debug)]
pub(super) struct DeferredDetails {
    original: Option<String>,
    raw_original: Option<String>,
    certificate: Option<CertificateAttributes>,
}

impl DeferredDetails {
    /// The parts of an event, if it has any.
    pub(super) fn of(event: &FingerprintEvent<'_>) -> Option<Box<Self>> {
        let FingerprintEvent { original, raw_original, certificate, .. } = *event;
        let has_details = original.is_some() || raw_original.is_some() || certificate.is_some();
        has_details.then(|| {
            Box::new(Self {
                original: original.map(str::to_owned),
                raw_original: raw_original.map(str::to_owned),
                certificate: certificate.cloned(),
            })
        })
    }
}

impl DeferredEvent {
    /// The fingerprint, if it is one.
    pub(super) fn fingerprint(&self) -> Option<FingerprintEvent<'_>> {
        let DeferredKind::Fingerprint { count, ttl, details } = &self.kind else { return None };
        let seen = self.record.history.last()?;
        let FingerprintRecord { method, value, .. } = seen;
        let details = details.as_deref();
        Some(FingerprintEvent {
            cause: self.cause,
            method: *method,
            side: seen.side(),
            count: *count,
            value: &value.text,
            raw: value.raw.as_deref(),
            original: details.and_then(|details| details.original.as_deref()),
            raw_original: details.and_then(|details| details.raw_original.as_deref()),
            ttl: *ttl,
            certificate: details.and_then(|details| details.certificate.as_ref()),
        })
    }

    /// Whether the end of the connection is evaluated.
    pub(super) fn is_end(&self) -> bool {
        match self.kind {
            DeferredKind::Fingerprint { .. } | DeferredKind::Progress => false,
            DeferredKind::End => self.record.ended != Some(EndReason::Open),
            DeferredKind::Open => true,
        }
    }

    /// The time of its evaluation.
    pub(super) fn now(&self) -> Time {
        if let DeferredKind::Open = self.kind { self.record.last } else { self.cause.time }
    }
}
