//! Events of a batch that wait until all threads of a replay have met.

use crate::detect::detectors::Signal;
use crate::model::{
    CertificateAttributes, ConnectionRecord, EndReason, EventContext, EventHandler, FingerprintEvent,
    FingerprintRecord, Time,
};
use crate::runtime::engine::EngineWorker;
use crate::runtime::engine::worker::EventScope;
use crate::runtime::lane_events::{LaneEvents, SightSignal};

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

/// Notes events in the records of their connections, and keeps them for the next steps.
pub(super) struct DeferringEvents<'a> {
    pub(super) worker: &'a mut EngineWorker,
    pub(super) scope: EventScope<'a>,
    pub(super) lanes: &'a mut LaneEvents,
}

impl DeferringEvents<'_> {
    fn begin(&mut self, cause: EventContext, record: &mut ConnectionRecord) -> Vec<Signal> {
        let mut start = Vec::new();
        self.worker.begin(self.scope.active, cause, record, |_, signal, _| start.push(signal));
        start
    }
}

impl EventHandler for DeferringEvents<'_> {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        let start = self.begin(event.cause, record);
        self.worker.note(self.scope.active, event, record);
        let FingerprintEvent { cause, count, original, raw_original, ttl, certificate, .. } = *event;
        let has_details = original.is_some() || raw_original.is_some() || certificate.is_some();
        let details = has_details.then(|| {
            Box::new(DeferredDetails {
                original: original.map(str::to_owned),
                raw_original: raw_original.map(str::to_owned),
                certificate: certificate.cloned(),
            })
        });
        let kind = DeferredKind::Fingerprint { count, ttl, details };
        let event = self.lanes.events.len() as u32;
        self.worker.sightings(record, |part, host| {
            if let Some(sightings) = self.lanes.sightings.get_mut(usize::from(part)) {
                sightings.push(SightSignal { event, host });
            }
        });
        self.lanes.events.push(DeferredEvent { cause, record: record.clone(), start, kind });
    }

    fn progress(&mut self, cause: EventContext, record: &mut ConnectionRecord) {
        let start = self.begin(cause, record);
        self.lanes.events.push(DeferredEvent { cause, record: record.clone(), start, kind: DeferredKind::Progress });
    }

    fn connection(&mut self, cause: EventContext, mut record: ConnectionRecord) {
        let start = self.begin(cause, &mut record);
        self.lanes.events.push(DeferredEvent { cause, record, start, kind: DeferredKind::End });
    }
}
