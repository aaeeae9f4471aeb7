//! Takes the events of the lanes of one thread, and keeps them until all threads of a replay have met.

use crate::detect::detectors::Signal;
use crate::model::{ConnectionRecord, EventContext, EventHandler, FingerprintEvent};
use crate::runtime::deferred_events::{DeferredDetails, DeferredEvent, DeferredKind};
use crate::runtime::engine::EngineWorker;
use crate::runtime::engine::worker::EventScope;
use crate::runtime::lane_events::{LaneEvents, SightSignal};

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
        let FingerprintEvent { cause, count, ttl, .. } = *event;
        let details = DeferredDetails::of(event);
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
