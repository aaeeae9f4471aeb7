//! Connections that have a number, but no end yet.

use hashlink::LruCache;

/// Connections kept, some 60 bytes each: twice as many as a sensor is meant for. Of one that was pushed
/// out the row stays open, and its end makes another.
const MAX_LIVE: usize = 1 << 21;

/// A connection that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Its row.
    pub(super) id: i64,
    /// Fingerprints that it has.
    pub(super) fingerprints: u32,
    /// Place of its row among those that a batch asks for, where it was asked for in one.
    pub(super) place: u32,
}

/// Numbers by flow. What a batch changes is undone if the batch fails.
pub(super) struct Connections {
    known: LruCache<u64, Live>,
    next: i64,
    /// What stood there before this batch, newest last.
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

    /// A number for a connection.
    pub(super) fn number(&mut self) -> i64 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }

    /// Keeps a connection.
    pub(super) fn keep(&mut self, flow: u64, live: Live) {
        let former = self.known.insert(flow, live);
        self.undo.push((flow, former));
    }

    /// Forgets a connection that has ended.
    pub(super) fn take(&mut self, flow: u64) -> Option<Live> {
        let former = self.known.remove(&flow)?;
        self.undo.push((flow, Some(former)));
        Some(former)
    }

    /// What was changed stands.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
    }

    /// What was changed never was. Numbers are not given again.
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
