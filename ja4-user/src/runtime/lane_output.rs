//! What takes the events of the lanes of one thread of a replay.

use crate::model::{EventHandler, Time};
use crate::output::packet_file::PacketRecorder;
use crate::runtime::lane_events::LineKey;

/// Takes the events of the lanes of one thread.
pub(super) trait LaneOutput {
    /// What takes the events of one lane.
    type Events<'a>: EventHandler
    where
        Self: 'a;

    /// Begins a batch with packets from this time on.
    fn begin_batch(&mut self, earliest: Time);

    /// Returns what takes the next events of a lane.
    fn events(&mut self, lane: usize) -> Self::Events<'_>;

    /// Returns what takes the selected packets, if there is a packet file.
    fn packets(&mut self) -> Option<&mut PacketRecorder>;

    /// Assigns a key to all events since the last call.
    fn mark(&mut self, key: LineKey);

    /// A second of packet time has passed in a lane. All earlier events are marked.
    fn tick(&mut self, key: LineKey, time: Time);

    /// Ends batch `number`. With `now`, the output is flushed. Returns false if the replay should stop.
    fn end_batch(&mut self, number: u64, now: bool) -> bool;

    /// Reports the connections that are open at the end of the run, in the order of their last packets. `number` is that of
    /// the next batch.
    fn finish(&mut self, number: u64);
}
