//! The table of flows, as the filter sees it.

use crate::duplicate::RecentTable;
use crate::flow::{DirectionState, FlowEntry, FlowKey};

/// The tracked flows of one host of the filter: BPF maps in the kernel, a table in a replay.
pub trait Flows {
    /// Reference to an entry, valid for the current frame.
    type Handle: Copy;

    /// The table of recent packets.
    type Recent: RecentTable;

    /// Whether the flow with this hash may be tracked: a membership filter. False positives are possible, false
    /// negatives are not, except for an idle flow.
    fn may_contain(&self, hash: u64) -> bool;

    /// Finds a flow.
    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<Self::Handle>;

    /// Entry of a flow that was found, and the table of recent packets.
    fn entry(&mut self, handle: Self::Handle) -> Option<(&mut FlowEntry, &mut Self::Recent)>;

    /// The table of recent packets.
    fn recent(&mut self) -> &mut Self::Recent;

    /// Adds or replaces the entry of `entry.key`. Returns false if the insert fails.
    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool;

    /// Refreshes the flow in the membership filter.
    fn touch(&mut self, hash: u64);

    /// Time of the current frame, nanoseconds; in the kernel at most a tenth of a second old.
    fn now(&self) -> u64;

    /// Adds one frame of `packets` wire packets and `bytes` bytes to a direction.
    fn count(direction: &mut DirectionState, packets: u64, bytes: u64);
}
