//! The list of attached readers, and its counters.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::reader::AttachedReader;
use super::view::ViewSlot;
use crate::model::counter_set;

/// Most readers at once: each has a thread, and holds lines in memory.
pub(super) const MAX_READERS: usize = 64;

counter_set! {
    /// Counters of the attach socket.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AttachStats as attach {
        /// Attached readers.
        gauge readers,
        /// Attached readers that have asked for events.
        gauge event_readers,
        /// Readers attached since the start.
        counter attached as attach_readers_attached,
        /// Readers rejected.
        ///
        /// They are processes of another user, or there are too many readers.
        counter refused as attach_readers_refused,
        /// Lines dropped for slow readers.
        ///
        /// Counted once per reader.
        counter lost as attach_lines_lost,
        /// Snapshots of views not sent, because a reader or the sensor was too slow.
        counter lost_snapshots as attach_snapshots_lost,
    }
}

/// The state that the threads of the server share.
#[derive(Debug, Default)]
pub(super) struct ReaderRegistry {
    /// The mode of the socket admits a group.
    pub(super) has_group: bool,
    pub(super) readers: ArcSwap<Vec<Arc<AttachedReader>>>,
    /// Held while the list of readers is replaced.
    pub(super) changing: Mutex<()>,
    /// Number of changes of the events that readers ask for.
    pub(super) changes: AtomicU64,
    pub(super) stop: AtomicBool,
    pub(super) attached: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) lost_snapshots: AtomicU64,
    pub(super) views: ViewSlot,
}
