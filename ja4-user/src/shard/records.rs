//! Records of open connections, for queries, snapshots and the database.

use ja4_common::flow::FlowKey;

use super::core::Core;
use crate::model::ConnectionRecord;

impl Core {
    /// Calls `read` with the record of a connection, if it is open. `hash` is that of its key.
    pub(crate) fn read_record(&mut self, hash: u64, key: &FlowKey, read: impl FnOnce(&mut ConnectionRecord)) {
        self.connections.visit(hash, key, |connection| connection.read_record(read));
    }

    /// Calls `read` with the records of all connections, the most recently used first, until it returns false.
    pub(crate) fn newest_records(&mut self, mut read: impl FnMut(&mut ConnectionRecord) -> bool) {
        self.connections.visit_newest(|connection| connection.read_record(&mut read));
    }

    /// Calls `read` with the records of the next `count` slots, until it returns false. The next call continues there.
    pub(crate) fn next_records(&mut self, count: usize, mut read: impl FnMut(&mut ConnectionRecord) -> bool) {
        for _ in 0..count.min(self.connections.slots()) {
            if self.next_record >= self.connections.slots() {
                self.next_record = 0;
            }
            let slot = self.next_record;
            self.next_record += 1;
            if self.connections.visit_slot(slot, |connection| connection.read_record(&mut read)) == Some(false) {
                return;
            }
        }
    }

    /// Slots of connections, open or free.
    pub(crate) fn slots(&self) -> usize {
        self.connections.slots()
    }
}
