//! JA4SSH: SSH traffic (specification, section 8).
//!
//! ```text
//! c<client mode>s<server mode>_c<client packets>s<server packets>_c<client ACKs>s<server ACKs>
//! ```
//! An SSH packet is a TCP segment on the wire that has payload and is no retransmission; a bare ACK is a
//! segment whose only flag is ACK, without payload. Who calls tells them apart.

use core::num::NonZeroU16;

/// Packets of a window, unless told otherwise (specification, section 8).
pub const DEFAULT_WINDOW: NonZeroU16 = match NonZeroU16::new(200) {
    Some(size) => size,
    None => NonZeroU16::MIN,
};

/// Lengths that a packet's own is compared with. Beyond them it is noted on its own and counted when the
/// window is written: so a packet costs little, however many lengths there are.
const NEAR: usize = 16;

/// Longest payload that is told apart: no segment comes near it.
const MAX_LENGTH: u32 = u32::MAX / 2;

/// What is counted of a connection between two fingerprints.
///
/// It allocates for its first packet, in all at most 16 bytes for each packet of a window, and keeps that
/// for the windows to come.
#[derive(Clone, Debug)]
pub struct Window {
    /// `lengths.len() <= packets[0] + packets[1]`; only the first `NEAR` are unlike each other.
    lengths: Vec<Length>,
    size: NonZeroU16,
    /// By client and server; the sum is `<= size`.
    packets: [u16; 2],
    /// By client and server.
    acks: [u32; 2],
}

/// Packets of one side and one length.
#[derive(Clone, Copy, Debug)]
struct Length {
    /// Twice the length, and one more if the server's.
    key: u32,
    packets: u16,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(DEFAULT_WINDOW)
    }
}

impl Window {
    /// An empty window that `size` SSH packets fill.
    #[must_use]
    pub const fn new(size: NonZeroU16) -> Self {
        Self { lengths: Vec::new(), size, packets: [0; 2], acks: [0; 2] }
    }

    /// Counts an SSH packet of `length` bytes of TCP payload. Returns whether the window is full; a full
    /// one must be [written](Self::write) before it counts another.
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
            None => self.lengths.push(Length { key, packets: 1 }),
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

    /// SSH packets of client and server so far.
    #[must_use]
    pub const fn packets(&self) -> [u16; 2] {
        self.packets
    }

    /// Bare ACKs of client and server so far.
    #[must_use]
    pub const fn acks(&self) -> [u32; 2] {
        self.acks
    }

    /// True without an SSH packet: then the end of the connection gives no fingerprint.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.packets, [0, 0])
    }

    /// Bytes of memory held for the lengths, for the owner's total.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.lengths.capacity() * size_of::<Length>()
    }

    /// Appends the value, and counts from zero again.
    pub fn write(&mut self, out: &mut String) {
        write_pair(self.modes(), out);
        out.push('_');
        write_pair(self.packets.map(u32::from), out);
        out.push('_');
        write_pair(self.acks, out);
        self.lengths.clear();
        self.packets = [0; 2];
        self.acks = [0; 2];
    }

    /// The most frequent length of each side; of those equally frequent the smallest, and 0 of none.
    fn modes(&mut self) -> [u32; 2] {
        self.lengths.sort_unstable_by_key(|length| length.key);
        let mut modes = [0; 2];
        let mut most = [0; 2];
        for same in self.lengths.chunk_by(|one, other| one.key == other.key) {
            let Some(Length { key, .. }) = same.first() else { continue };
            let packets: u32 = same.iter().map(|length| u32::from(length.packets)).sum();
            let (mode, most) = if key % 2 == 0 { (&mut modes[0], &mut most[0]) } else { (&mut modes[1], &mut most[1]) };
            // Lengths come in ascending order, so an equal one is not smaller.
            if packets > *most {
                (*mode, *most) = (key / 2, packets);
            }
        }
        modes
    }
}

/// True for a bare ACK: flags exactly ACK, and no payload. `flags` is the low byte of the header's flags.
#[must_use]
pub const fn is_bare_ack(flags: u8, payload_len: u32) -> bool {
    flags == 0x10 && payload_len == 0
}

/// Lengths of the segments on the wire that a super-packet of `payload_len` bytes stands for: full ones of
/// `gso_size`, then the rest. With a `gso_size` of 0 it is one segment; without payload it is none.
pub fn wire_segments(payload_len: u32, gso_size: u16) -> impl Iterator<Item = u32> {
    let full = if gso_size == 0 { payload_len } else { u32::from(gso_size) };
    let count = payload_len.checked_div(full).unwrap_or_default();
    let rest = payload_len.checked_rem(full).unwrap_or_default();
    core::iter::repeat_n(full, count as usize).chain((rest > 0).then_some(rest))
}

/// Appends `c<client>s<server>`.
fn write_pair([client, server]: [u32; 2], out: &mut String) {
    let mut digits = itoa::Buffer::new();
    out.push('c');
    out.push_str(digits.format(client));
    out.push('s');
    out.push_str(digits.format(server));
}
