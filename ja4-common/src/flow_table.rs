//! The table of flows that the filter asks.

use crate::duplicate::RecentTable;
use crate::flow::{DirectionState, FlowEntry, FlowKey};

/// The flows known to one host of the filter: BPF maps in the kernel, a table in a replay.
pub trait Flows {
    /// Where an entry lies; good until the frame at hand is judged.
    type Handle: Copy;

    /// The table of recent packets.
    type Recent: RecentTable;

    /// Whether the flow of this hash may be known. A cheap test that may say yes for a stranger,
    /// never no for a flow that was inserted and is not idle.
    fn may_contain(&self, hash: u64) -> bool;

    /// Finds a flow.
    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<Self::Handle>;

    /// The entry of a flow that was found, and the table of recent packets.
    fn entry(&mut self, handle: Self::Handle) -> Option<(&mut FlowEntry, &mut Self::Recent)>;

    /// The table of recent packets.
    fn recent(&mut self) -> &mut Self::Recent;

    /// Adds or replaces the entry of `entry.key`; false where the table refused it.
    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool;

    /// Keeps the flow of this hash in the filter that [`Flows::may_contain`] asks.
    fn touch(&mut self, hash: u64);

    /// Time of the frame at hand, nanoseconds; in the kernel a tenth of a second old at most.
    fn now(&self) -> u64;

    /// Adds one frame of `packets` wire packets and `bytes` bytes to a direction.
    fn count(direction: &mut DirectionState, packets: u64, bytes: u64);
}
