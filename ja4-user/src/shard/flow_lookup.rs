//! The filter's side of the flows.

use ja4_common::duplicate::{self, RecentTable as _};
use ja4_common::flow::{FlowEntry, FlowKey};
use ja4_common::flow_table::Flows as _;

use super::user_flows::UserFlows;
use crate::model::Time;

/// The filter's side of the flows: the kernel's map, or the table of a replay.
pub trait FlowLookup {
    /// The current entry of a flow; times are nanoseconds since the Unix epoch.
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry>;
    /// Removes the entry of a flow that has ended.
    fn remove(&mut self, hash: u64, key: &FlowKey);
    /// Whether another capture point has seen the packet with this hash less than a second before `time`. If not, the packet is
    /// added to the table. See [`ja4_common::duplicate`].
    fn is_duplicate(&mut self, hash: u64, point: u32, time: Time) -> bool;
    /// Flows inside nested tunnels, which userspace filters.
    fn inner(&mut self) -> &mut UserFlows;
}

impl FlowLookup for UserFlows {
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        self.get(hash, key)
    }

    fn remove(&mut self, hash: u64, key: &FlowKey) {
        self.delete(hash, key);
    }

    fn is_duplicate(&mut self, hash: u64, point: u32, time: Time) -> bool {
        let bucket = self.recent().bucket(hash);
        bucket.is_some_and(|bucket| duplicate::is_known(bucket, hash, point, time.0, true))
    }

    fn inner(&mut self) -> &mut UserFlows {
        self
    }
}
