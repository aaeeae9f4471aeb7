//! The counts of a window of SSH packets, which JA4SSH reads.

use core::num::NonZeroU16;

/// Lengths that a packet's own length is compared with. A further length is stored for each packet and summed up by
/// [`SshWindow::modes`], so that a packet costs little however many lengths there are.
const NEAR: usize = 16;

/// Longer payloads are counted as this length. No segment comes near it.
const MAX_LENGTH: u32 = u32::MAX / 2;

/// The packets of an SSH connection between two fingerprints.
///
/// An SSH packet is a TCP segment on the wire that has payload and is no retransmission; the caller detects
/// retransmissions.
///
/// The first packet allocates. A window takes at most 16 bytes for each of its packets, and keeps them for its
/// successors.
#[derive(Clone, Debug)]
pub struct SshWindow {
    /// `lengths.len() <= packets[0] + packets[1]`; only the first `NEAR` are distinct.
    lengths: Vec<LengthCount>,
    size: NonZeroU16,
    /// By client and server; the sum is `<= size`.
    packets: [u16; 2],
    /// By client and server.
    acks: [u32; 2],
}

/// The number of packets of one side and one length.
#[derive(Clone, Copy, Debug)]
struct LengthCount {
    /// Twice the length; plus one for the server.
    key: u32,
    packets: u16,
}

impl Default for SshWindow {
    fn default() -> Self {
        Self::new(Self::DEFAULT_SIZE)
    }
}

impl SshWindow {
    /// SSH packets of a window unless configured otherwise (FoxIO JA4+ technical details, JA4SSH.md).
    pub const DEFAULT_SIZE: NonZeroU16 = NonZeroU16::MIN.saturating_add(199);

    /// An empty window that `size` SSH packets fill.
    #[must_use]
    pub const fn new(size: NonZeroU16) -> Self {
        Self { lengths: Vec::new(), size, packets: [0; 2], acks: [0; 2] }
    }

    /// Counts an SSH packet of `length` bytes of TCP payload. Returns whether the window is full; a full window counts
    /// no further packets until it is [cleared](Self::clear), which computing JA4SSH does.
    #[inline]
    pub fn packet(&mut self, from_client: bool, length: u32) -> bool {
        let [client, server] = &mut self.packets;
        let size = self.size.get();
        // Neither subtraction goes below zero: client + server <= size.
        if size - *client == *server {
            return true;
        }
        let key = length.min(MAX_LENGTH) * 2 + u32::from(!from_client);
        match self.lengths.iter_mut().take(NEAR).find(|known| known.key == key) {
            Some(known) => known.packets += 1,
            None => self.lengths.push(LengthCount { key, packets: 1 }),
        }
        *(if from_client { &mut *client } else { &mut *server }) += 1;
        size - *client == *server
    }

    /// Counts a bare ACK. It never fills a window.
    #[inline]
    pub const fn ack(&mut self, from_client: bool) {
        let [client, server] = &mut self.acks;
        let acks = if from_client { client } else { server };
        *acks = acks.saturating_add(1);
    }

    /// SSH packets of client and server since the window was cleared.
    #[must_use]
    pub const fn packets(&self) -> [u16; 2] {
        self.packets
    }

    /// Bare ACKs of client and server since the window was cleared.
    #[must_use]
    pub const fn acks(&self) -> [u32; 2] {
        self.acks
    }

    /// Whether it has no SSH packet. The end of the connection then yields no fingerprint.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.packets, [0, 0])
    }

    /// Bytes of heap memory.
    #[must_use]
    pub const fn heap_size(&self) -> usize {
        self.lengths.capacity() * size_of::<LengthCount>()
    }

    /// Clears all counts.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.packets = [0; 2];
        self.acks = [0; 2];
    }

    /// The most frequent packet length of client and server; the smallest of equally frequent ones, 0 without packets.
    pub fn modes(&mut self) -> [u32; 2] {
        self.lengths.sort_unstable_by_key(|length| length.key);
        let mut modes = [0; 2];
        let mut most = [0; 2];
        for same in self.lengths.chunk_by(|one, other| one.key == other.key) {
            let Some(LengthCount { key, .. }) = same.first() else { continue };
            let packets: u32 = same.iter().map(|length| u32::from(length.packets)).sum();
            let (mode, most) = if key % 2 == 0 { (&mut modes[0], &mut most[0]) } else { (&mut modes[1], &mut most[1]) };
            // Lengths ascend, so an equally frequent one is not smaller.
            if packets > *most {
                (*mode, *most) = (key / 2, packets);
            }
        }
        modes
    }

    /// Whether a TCP segment is a bare ACK: its only flag is ACK, and it has no payload. `flags` are the twelve bits
    /// of the header.
    #[must_use]
    pub const fn is_bare_ack(flags: u16, payload_len: u32) -> bool {
        flags == 0x10 && payload_len == 0
    }

    /// Payload lengths of the segments on the wire that segmentation offload merged into `payload_len` bytes: full
    /// ones of `gso_size`, then the rest. A `gso_size` of 0 is one segment; no payload is none.
    pub fn wire_segments(payload_len: u32, gso_size: u16) -> impl Iterator<Item = u32> {
        let full = if gso_size == 0 { payload_len } else { u32::from(gso_size) };
        let count = payload_len.checked_div(full).unwrap_or_default();
        let rest = payload_len.checked_rem(full).unwrap_or_default();
        core::iter::repeat_n(full, count as usize).chain((rest > 0).then_some(rest))
    }
}
