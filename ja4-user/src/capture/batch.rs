//! A batch: one chunk of a capture file and the frames found in it.

use super::linktype::LinkType;

/// Bytes of one chunk: small enough to stay in the second or third level cache between the read that fills it and
/// the shard that looks into it, large enough that a system call per batch costs nothing.
///
/// At least twice [`super::MAX_BLOCK`], so an unfinished record never fills a batch.
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

const _: () = assert!(BATCH_BYTES >= 2 * super::MAX_BLOCK as usize);

/// One packet of a capture file: what its record says, and where its bytes lie in the [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// The packet's number, from 1, counted over all files of a run.
    pub number: u64,
    /// When it was captured: nanoseconds since the Unix epoch, clamped to what fits. The
    /// previous packet's time (0 for the first) where the file has none, in pcapng's Simple Packet Blocks.
    pub time: u64,
    /// Where its bytes begin in the batch.
    pub offset: u32,
    /// How many of its bytes the file holds.
    pub captured: u32,
    /// How many bytes it had on the wire; never less than `captured`.
    pub wire: u32,
    /// What its first bytes are.
    pub link: LinkType,
    /// The capturing interface's index within the file, from 0; a later pcapng section counts on.
    pub interface: u32,
}

/// A chunk of a capture file with its frames. Meant to be used again and again: neither [`Batch::clear`] nor
/// [`super::CaptureFile::fill`] gives memory back.
#[derive(Debug, Default)]
pub struct Batch {
    /// Always initialised to its whole length; `filled` says how much of it is the file's.
    data: Vec<u8>,
    filled: usize,
    frames: Vec<FrameRef>,
}

impl Batch {
    /// An empty batch. The chunk's memory is taken when it is first filled.
    pub const fn new() -> Self {
        Self { data: Vec::new(), filled: 0, frames: Vec::new() }
    }

    /// The frames, in file order.
    pub fn frames(&self) -> &[FrameRef] {
        &self.frames
    }

    /// The captured bytes of one of this batch's frames; empty for a frame that is none of its.
    #[inline]
    pub fn bytes(&self, frame: &FrameRef) -> &[u8] {
        let start = frame.offset as usize;
        let end = start.saturating_add(frame.captured as usize);
        self.filled().get(start..end).unwrap_or(&[])
    }

    /// Whether the file gave about as much as fits. A pipe that did not may have no more for a while.
    pub fn is_full(&self) -> bool {
        self.filled > BATCH_BYTES / 2
    }

    /// Forgets the frames and their bytes and keeps the memory.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.frames.clear();
    }

    /// Empties the batch and puts `tail`, the record the previous batch ended in, at its front.
    pub(super) fn restart(&mut self, tail: &[u8]) {
        self.clear();
        if self.data.len() < BATCH_BYTES {
            self.data.resize(BATCH_BYTES, 0);
        }
        if let Some(front) = self.data.get_mut(..tail.len()) {
            front.copy_from_slice(tail);
            self.filled = tail.len();
        }
    }

    /// What was read of the file so far.
    pub(super) fn filled(&self) -> &[u8] {
        self.data.get(..self.filled).unwrap_or(&[])
    }

    /// Where the next read goes.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        self.data.get_mut(self.filled..).unwrap_or(&mut [])
    }

    /// Takes `count` bytes of [`Batch::spare`] as read.
    pub(super) fn grow(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.data.len());
    }

    /// Drops the first `count` bytes. Only while there are no frames: it moves what is left.
    pub(super) fn drop_front(&mut self, count: usize) {
        debug_assert!(self.frames.is_empty());
        let count = count.min(self.filled);
        self.data.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Starts indexing at `at`, numbering frames from `number`.
    pub(super) fn index(&mut self, at: usize, number: u64) -> Indexing<'_> {
        let data = self.data.get(..self.filled).unwrap_or(&[]);
        Indexing { data, at, number, frames: &mut self.frames, skipped: Skipped::default() }
    }
}

/// The pass over a chunk that turns records into frames.
pub(super) struct Indexing<'a> {
    data: &'a [u8],
    /// Invariant: the start of the first record that is not dealt with yet.
    pub(super) at: usize,
    /// The next frame's number.
    pub(super) number: u64,
    frames: &'a mut Vec<FrameRef>,
    /// Packets of this chunk that are counted but not delivered.
    pub(super) skipped: Skipped,
}

/// Packets that were not delivered, because their interface has an unsupported link type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skipped {
    /// Number of packets.
    pub(super) packets: u64,
    /// Number of the first one, and its link type.
    pub(super) first: Option<(u64, u16)>,
}

impl<'a> Indexing<'a> {
    /// What is not dealt with yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or(&[])
    }

    /// Adds a frame whose bytes begin `skip` bytes after the current record's start.
    #[inline]
    pub(super) fn push(&mut self, skip: usize, frame: PacketEntry) {
        self.frames.push(FrameRef {
            number: self.number,
            time: frame.time,
            // A batch is far smaller than 4 GiB.
            offset: self.at.saturating_add(skip) as u32,
            captured: frame.captured,
            wire: frame.wire.max(frame.captured),
            link: frame.link,
            interface: frame.interface,
        });
        self.number = self.number.saturating_add(1);
    }

    /// Counts a packet of an unsupported link type. It gets a packet number, as in other programs that read the file.
    pub(super) fn skip(&mut self, link: u16) {
        self.skipped.packets = self.skipped.packets.saturating_add(1);
        self.skipped.first.get_or_insert((self.number, link));
        self.number = self.number.saturating_add(1);
    }
}

/// What a record says of its packet.
pub(super) struct PacketEntry {
    pub(super) time: u64,
    pub(super) captured: u32,
    pub(super) wire: u32,
    pub(super) link: LinkType,
    pub(super) interface: u32,
}
