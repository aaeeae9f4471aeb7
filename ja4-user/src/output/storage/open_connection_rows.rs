//! Rows of open connections.

use crate::model::bounded_lru_map::BoundedLruMap;

/// Maximum number of open connections, some 60 bytes each: twice the intended maximum. The row of an evicted one stays open,
/// and its end adds another row.
const MAX_OPEN: usize = 1 << 21;

/// The row of an open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenConnectionRow {
    /// Id of the connection.
    pub(super) id: i64,
    /// Number of its fingerprints.
    pub(super) fingerprints: u32,
    /// Index in the list of connections that the batch opens.
    pub(super) batch_index: u32,
}

/// Rows of open connections by flow. The changes of a failed batch are undone.
pub(super) struct OpenConnectionRows {
    by_flow: BoundedLruMap<u64, OpenConnectionRow>,
    next_id: i64,
    /// Entries before this batch, the newest last.
    undo: Vec<(u64, Option<OpenConnectionRow>)>,
}

impl OpenConnectionRows {
    /// Returns an empty map. Connections are numbered from `next_id` on.
    pub(super) fn new(next_id: i64) -> Self {
        Self { by_flow: BoundedLruMap::new(MAX_OPEN), next_id, undo: Vec::new() }
    }

    /// Returns the connection of a flow, if it is known.
    pub(super) fn find(&mut self, flow: u64) -> Option<OpenConnectionRow> {
        self.by_flow.get_mut(&flow).copied()
    }

    /// Returns the next id.
    pub(super) fn next_id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        id
    }

    /// Inserts a connection, or replaces the one of its flow.
    pub(super) fn insert(&mut self, flow: u64, connection: OpenConnectionRow) {
        let former = match self.by_flow.get_mut(&flow) {
            Some(known) => Some(std::mem::replace(known, connection)),
            None => {
                self.by_flow.insert(flow, connection);
                None
            }
        };
        self.undo.push((flow, former));
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&mut self, flow: u64) -> Option<OpenConnectionRow> {
        let former = self.by_flow.remove(&flow)?;
        self.undo.push((flow, Some(former)));
        Some(former)
    }

    /// Keeps the changes of the batch, which was committed.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Undoes the changes of the batch, which was rolled back. Ids are not reused.
    pub(super) fn roll_back(&mut self) {
        while let Some((flow, former)) = self.undo.pop() {
            match former {
                Some(connection) => {
                    self.by_flow.insert(flow, connection);
                }
                None => {
                    self.by_flow.remove(&flow);
                }
            }
        }
    }
}
