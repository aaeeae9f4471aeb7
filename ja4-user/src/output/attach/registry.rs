//! The attached readers.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::reader::AttachedReader;
use crate::model::CounterGroup;

/// Readers at once: each has a thread, and holds lines in memory.
pub const MAX_READERS: usize = 64;

/// What has become of readers and lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachStats {
    /// Readers that are attached.
    pub readers: u64,
    /// Readers that there ever were.
    pub attached: u64,
    /// Processes turned away: another user's, or one too many.
    pub refused: u64,
    /// Lines that readers have lost; a line that two have lost counts twice.
    pub lost: u64,
}

impl AttachStats {
    /// As a group of a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let Self { readers, attached, refused, lost } = *self;
        let mut group = CounterGroup::default();
        group.count("readers", readers).count("attached", attached).count("refused", refused).count("lost", lost);
        group
    }
}

/// What the threads of a server share.
#[derive(Debug, Default)]
pub(super) struct ReaderRegistry {
    pub(super) readers: ArcSwap<Vec<Arc<AttachedReader>>>,
    /// Held while the list of readers is changed.
    pub(super) changing: Mutex<()>,
    pub(super) stop: AtomicBool,
    pub(super) attached: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
}
