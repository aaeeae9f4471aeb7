//! The list of attached readers, and its counters.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::reader::AttachedReader;
use crate::model::CounterGroup;

/// Most readers at once: each has a thread, and holds lines in memory.
pub(super) const MAX_READERS: usize = 64;

/// Counters of the attach socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachStats {
    /// Attached readers.
    pub readers: u64,
    /// Readers attached since the start.
    pub attached: u64,
    /// Readers rejected: processes of another user, or too many readers.
    pub refused: u64,
    /// Lines dropped for slow readers, counted once per reader.
    pub lost: u64,
}

impl AttachStats {
    /// Returns the counters for a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let Self { readers, attached, refused, lost } = *self;
        let mut group = CounterGroup::default();
        group.count("readers", readers).count("attached", attached).count("refused", refused).count("lost", lost);
        group
    }
}

/// The state that the threads of the server share.
#[derive(Debug, Default)]
pub(super) struct ReaderRegistry {
    pub(super) readers: ArcSwap<Vec<Arc<AttachedReader>>>,
    /// Held while the list of readers is replaced.
    pub(super) changing: Mutex<()>,
    pub(super) stop: AtomicBool,
    pub(super) attached: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
}
