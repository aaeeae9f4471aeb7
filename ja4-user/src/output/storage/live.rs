//! Open connections with an id.

use hashlink::LruCache;

/// Most open connections, some 60 bytes each: twice the intended maximum. The row of an evicted one stays open, and its end
/// adds another row.
const MAX_LIVE: usize = 1 << 21;

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Its row.
    pub(super) id: i64,
    /// Fingerprints that it has.
    pub(super) fingerprints: u32,
    /// Index in the list of connections that the batch opens.
    pub(super) place: u32,
}

/// Ids by flow. The changes of a failed batch are undone.
pub(super) struct Connections {
    known: LruCache<u64, Live>,
    next: i64,
    /// Entries before this batch, the newest last.
    undo: Vec<(u64, Option<Live>)>,
}

impl Connections {
    /// Numbers from `next` on.
    pub(super) fn from(next: i64) -> Self {
        Self { known: LruCache::new(MAX_LIVE), next, undo: Vec::new() }
    }

    /// The connection of a flow, if it is known.
    pub(super) fn find(&mut self, flow: u64) -> Option<Live> {
        self.known.get(&flow).copied()
    }

    /// Returns the next id.
    pub(super) fn number(&mut self) -> i64 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }

    /// Inserts a connection.
    pub(super) fn keep(&mut self, flow: u64, live: Live) {
        let former = self.known.insert(flow, live);
        self.undo.push((flow, former));
    }

    /// Removes a connection that has ended.
    pub(super) fn take(&mut self, flow: u64) -> Option<Live> {
        let former = self.known.remove(&flow)?;
        self.undo.push((flow, Some(former)));
        Some(former)
    }

    /// The batch was committed.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
    }

    /// The batch was rolled back. Ids are not reused.
    pub(super) fn rolled_back(&mut self) {
        while let Some((flow, former)) = self.undo.pop() {
            match former {
                Some(live) => {
                    self.known.insert(flow, live);
                }
                None => {
                    self.known.remove(&flow);
                }
            }
        }
    }
}
