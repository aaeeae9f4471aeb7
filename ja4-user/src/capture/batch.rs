//! A batch: one chunk of a capture file and the frames found in it.

use super::linktype::LinkType;

/// Bytes of one chunk: small enough to stay in the second or third level cache until the shard parses it, and large enough to
/// make the cost of its system call negligible.
///
/// At least twice [`super::MAX_BLOCK`], so that an incomplete record never fills a batch.
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

const _: () = assert!(BATCH_BYTES >= 2 * super::MAX_BLOCK as usize);

/// One packet of a capture file: the fields of its record, and the position of its bytes in the [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// The packet's number, from 1, counted over all files of a run.
    pub number: u64,
    /// Capture time, nanoseconds since the Unix epoch, clamped to the range of the type. Simple Packet Blocks of pcapng have
    /// no time: theirs is the time of the previous packet, or 0 for the first.
    pub time: u64,
    /// Offset of its bytes in the batch.
    pub offset: u32,
    /// Captured bytes.
    pub captured: u32,
    /// Bytes on the wire; never less than `captured`.
    pub wire: u32,
    /// The link type.
    pub link: LinkType,
    /// Index of the interface in the file, from 0, continued over pcapng sections.
    pub interface: u32,
}

/// A chunk of a capture file with its frames. Reusable: neither [`Batch::clear`] nor [`super::CaptureFile::fill`] frees
/// memory.
#[derive(Debug, Default)]
pub struct Batch {
    /// Always initialized; the first `filled` bytes are from the file.
    data: Vec<u8>,
    filled: usize,
    frames: Vec<FrameRef>,
}

impl Batch {
    /// Creates an empty batch. Memory is allocated when it is first filled.
    pub const fn new() -> Self {
        Self { data: Vec::new(), filled: 0, frames: Vec::new() }
    }

    /// Returns the frames in file order.
    pub fn frames(&self) -> &[FrameRef] {
        &self.frames
    }

    /// Returns the captured bytes of a frame of this batch; empty for a frame of another batch.
    #[inline]
    pub fn bytes(&self, frame: &FrameRef) -> &[u8] {
        let start = frame.offset as usize;
        let end = start.saturating_add(frame.captured as usize);
        self.filled().get(start..end).unwrap_or(&[])
    }

    /// Whether the read filled most of the batch. If not, a pipe may have no more data for a while.
    pub(crate) fn is_full(&self) -> bool {
        self.filled > BATCH_BYTES / 2
    }

    /// Removes the frames after the first `most`. Returns their number.
    pub(crate) fn truncate(&mut self, most: u64) -> u64 {
        let before = self.frames.len();
        self.frames.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        (before - self.frames.len()) as u64
    }

    /// Removes the frames and their bytes, and keeps the memory.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.frames.clear();
    }

    /// Empties the batch and copies `tail`, the incomplete record of the previous batch, to its front.
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

    /// Returns the bytes read so far.
    pub(super) fn filled(&self) -> &[u8] {
        self.data.get(..self.filled).unwrap_or(&[])
    }

    /// Returns the buffer of the next read.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        self.data.get_mut(self.filled..).unwrap_or(&mut [])
    }

    /// Marks `count` bytes of [`Batch::spare`] as read.
    pub(super) fn grow(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.data.len());
    }

    /// Drops the first `count` bytes and moves the rest. Only valid without frames.
    pub(super) fn drop_front(&mut self, count: usize) {
        debug_assert!(self.frames.is_empty());
        let count = count.min(self.filled);
        self.data.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Starts indexing at `at`, numbering frames from `number`.
    pub(super) fn index(&mut self, at: usize, number: u64) -> Indexing<'_> {
        let data = self.data.get(..self.filled).unwrap_or(&[]);
        Indexing { data, at, number, frames: &mut self.frames, skipped: SkippedPackets::default() }
    }
}

/// The pass over a chunk that turns records into frames.
pub(super) struct Indexing<'a> {
    data: &'a [u8],
    /// Invariant: the start of the first record that is not indexed yet.
    pub(super) at: usize,
    /// The next frame's number.
    pub(super) number: u64,
    frames: &'a mut Vec<FrameRef>,
    /// Packets of this chunk that are counted but not delivered.
    pub(super) skipped: SkippedPackets,
}

/// Packets that were not delivered, because their interface has an unsupported link type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SkippedPackets {
    /// Number of packets.
    pub(super) packets: u64,
    /// Number of the first one, and its link type.
    pub(super) first: Option<(u64, u16)>,
}

impl<'a> Indexing<'a> {
    /// Returns the bytes that are not indexed yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or(&[])
    }

    /// Adds a frame with bytes at `skip` bytes after the start of the current record.
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

    /// Counts a packet of an unsupported link type. It gets a packet number, as in other readers.
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
