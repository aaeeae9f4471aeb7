//! The order of what the lanes of a replay report.

use std::net::IpAddr;

use crate::model::Time;
use crate::runtime::deferred_events::DeferredEvent;

/// Sort key of a line: the number of its packet, then its cause, then the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineKey {
    pub(super) packet: u64,
    pub(super) cause: LineCause,
    pub(super) lane: u32,
}

/// The cause of a line, in the order in which a thread acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LineCause {
    /// The bound on connections.
    Bound,
    /// The clock.
    Clock,
    /// The packet.
    Packet,
}

/// The events of one thread in one batch, in runs that are ordered by packet, cause and lane.
#[derive(Debug, Default)]
pub(super) struct LaneEvents {
    pub(super) events: Vec<DeferredEvent>,
    /// Key of each event.
    keys: Vec<LineKey>,
    pub(super) runs: Vec<LaneRun>,
    /// Values to look up, by part.
    pub(super) sightings: Vec<Vec<SightSignal>>,
}

/// A value to look up.
#[derive(Clone, Copy, Debug)]
pub(super) struct SightSignal {
    pub(super) event: u32,
    pub(super) host: Option<IpAddr>,
}

/// Consecutive events of one lane and cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneRun {
    pub(super) key: LineKey,
    /// A second of packet time has passed before these events.
    pub(super) tick: Option<Time>,
    /// End of its events.
    pub(super) end: usize,
}

impl LaneEvents {
    /// Returns no events, for detectors of so many parts.
    pub(super) fn new(parts: usize) -> Self {
        Self { sightings: vec![Vec::new(); parts], ..Self::default() }
    }

    /// Assigns a key to all events since the last call.
    pub(super) fn mark(&mut self, key: LineKey) {
        let end = self.events.len();
        if self.end() < end {
            self.keys.resize(end, key);
            self.runs.push(LaneRun { key, tick: None, end });
        }
    }

    /// Records that a second of packet time has passed in a lane. All earlier events are marked.
    pub(super) fn tick(&mut self, key: LineKey, time: Time) {
        self.runs.push(LaneRun { key, tick: Some(time), end: self.end() });
    }

    /// The position of an event among those of all threads.
    pub(super) fn order(&self, event: u32) -> Option<(LineKey, u32)> {
        Some((*self.keys.get(event as usize)?, event))
    }

    /// End of the events that are marked.
    fn end(&self) -> usize {
        self.runs.last().map_or(0, |run| run.end)
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.keys.clear();
        self.sightings.iter_mut().for_each(Vec::clear);
        self.runs.clear();
    }
}
