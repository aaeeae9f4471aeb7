//! What the lanes of one thread of a replay have seen in a batch: observations with their lines, in runs that are ordered
//! by packet, cause and lane.

use crate::model::Time;
use crate::runtime::engine::observe::Chunk;

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

/// The results of one thread for one batch, in order.
#[derive(Debug, Default)]
pub(super) struct LaneLines {
    pub(super) chunk: Chunk,
    pub(super) runs: Vec<LaneRun>,
}

/// Consecutive results of one lane and cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneRun {
    pub(super) key: LineKey,
    /// A second of packet time has passed before these results.
    pub(super) tick: Option<Time>,
    /// Ends of its lines and observations in the chunk.
    pub(super) text: usize,
    pub(super) observations: usize,
}

impl LaneLines {
    /// Assigns a key to all results since the last call.
    pub(super) fn mark(&mut self, place: LineKey) {
        let (text, observations) = (self.chunk.text.len(), self.chunk.observations.len());
        let (text_before, before) = self.ends();
        if text_before < text || before < observations {
            self.runs.push(LaneRun { key: place, tick: None, text, observations });
        }
    }

    /// Records that a second of packet time has passed in a lane. All earlier results are marked.
    pub(super) fn tick(&mut self, place: LineKey, time: Time) {
        let (text, observations) = self.ends();
        self.runs.push(LaneRun { key: place, tick: Some(time), text, observations });
    }

    /// Ends of the lines and observations that are marked.
    fn ends(&self) -> (usize, usize) {
        self.runs.last().map_or((0, 0), |run| (run.text, run.observations))
    }

    pub(super) fn clear(&mut self) {
        self.chunk.clear();
        self.runs.clear();
    }
}
