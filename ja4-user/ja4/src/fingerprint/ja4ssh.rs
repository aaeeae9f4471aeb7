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

/// True for a bare ACK: flags exactly ACK, and no payload. `flags` are the twelve bits of the header.
#[must_use]
pub const fn is_bare_ack(flags: u16, payload_len: u32) -> bool {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: bool = true;
    const SERVER: bool = false;

    fn window(size: u16) -> Window {
        Window::new(NonZeroU16::new(size).unwrap())
    }

    fn value(window: &mut Window) -> String {
        let mut out = String::new();
        window.write(&mut out);
        out
    }

    /// Values of a connection that sends these packets, the remainder included.
    fn values(size: u16, packets: &[(bool, u32)]) -> Vec<String> {
        let mut window = window(size);
        let mut values = Vec::new();
        for &(from_client, length) in packets {
            if window.packet(from_client, length) {
                values.push(value(&mut window));
            }
        }
        if !window.is_empty() {
            values.push(value(&mut window));
        }
        values
    }

    #[test]
    fn example_of_the_specification() {
        let mut window = Window::default();
        for index in 0..74 {
            window.ack(CLIENT);
            if index < 5 {
                window.ack(SERVER);
            }
        }
        for index in 0..76 {
            assert!(!window.packet(CLIENT, if index % 4 == 0 { 60 + index } else { 36 }));
        }
        for index in 0..124 {
            let full = window.packet(SERVER, if index % 3 == 0 { 1000 + index } else { 36 });
            assert_eq!(full, index == 123);
        }
        assert_eq!((window.packets(), window.acks()), ([76, 124], [74, 5]));
        assert_eq!(value(&mut window), "c36s36_c76s124_c74s5");
        assert!(window.is_empty());
        assert_eq!(window.acks(), [0, 0]);
    }

    #[test]
    fn the_200th_packet_ends_a_window_and_the_next_begins_one() {
        let packets = |count: usize| vec![(SERVER, 1460); count];
        assert_eq!(values(200, &packets(199)), ["c0s1460_c0s199_c0s0"]);
        assert_eq!(values(200, &packets(200)), ["c0s1460_c0s200_c0s0"]);
        assert_eq!(values(200, &packets(201)), ["c0s1460_c0s200_c0s0", "c0s1460_c0s1_c0s0"]);
        assert_eq!(values(1, &packets(2)), ["c0s1460_c0s1_c0s0"; 2]);
        assert_eq!(values(200, &[]), [""; 0]);
    }

    #[test]
    fn of_equally_frequent_lengths_the_smallest_counts() {
        let packets = [(CLIENT, 100), (CLIENT, 36), (CLIENT, 36), (CLIENT, 100), (SERVER, 9), (SERVER, 8)];
        assert_eq!(values(200, &packets), ["c36s8_c4s2_c0s0"]);
    }

    #[test]
    fn a_length_counts_fully_where_many_others_came_first() {
        let others = (0..100).map(|length| (CLIENT, 1000 + length));
        let packets: Vec<_> = others.chain([(CLIENT, 52); 3]).chain([(CLIENT, 44); 2]).collect();
        assert_eq!(values(200, &packets), ["c52s0_c105s0_c0s0"]);
    }

    #[test]
    fn acks_stay_with_the_window_that_is_open_and_fill_none() {
        let mut window = window(2);
        for _ in 0..1000 {
            window.ack(SERVER);
        }
        assert!(window.is_empty());
        assert!(!window.packet(CLIENT, 7));
        assert!(window.packet(CLIENT, 7));
        assert_eq!(value(&mut window), "c7s0_c2s0_c0s1000");
        window.ack(CLIENT);
        window.packet(SERVER, 8);
        assert_eq!(value(&mut window), "c0s8_c0s1_c1s0");
    }

    #[test]
    fn a_full_window_counts_no_more_and_memory_is_kept() {
        let mut window = window(2);
        assert_eq!(window.held_bytes(), 0);
        for length in [5, 6, 7, 8] {
            window.packet(CLIENT, length);
        }
        let held = window.held_bytes();
        assert_eq!(value(&mut window), "c5s0_c2s0_c0s0");
        window.packet(CLIENT, u32::MAX);
        window.packet(SERVER, u32::MAX);
        assert_eq!(value(&mut window), format!("c{MAX_LENGTH}s{MAX_LENGTH}_c1s1_c0s0"));
        assert_eq!(window.held_bytes(), held);
        assert!(size_of::<Window>() <= 40);
    }

    #[test]
    fn a_super_packet_is_the_segments_on_the_wire() {
        let segments = |payload, gso| wire_segments(payload, gso).collect::<Vec<_>>();
        assert_eq!(segments(3000, 1448), [1448, 1448, 104]);
        assert_eq!(segments(2896, 1448), [1448, 1448]);
        assert_eq!(segments(100, 1448), [100]);
        assert_eq!(segments(3000, 0), [3000]);
        assert_eq!(segments(0, 1448), [0; 0]);
        assert_eq!(segments(0, 0), [0; 0]);
    }

    #[test]
    fn a_bare_ack_has_no_other_flag_and_no_payload() {
        assert!(is_bare_ack(0x10, 0));
        assert!(!is_bare_ack(0x10, 1));
        for other in [0x00, 0x11, 0x12, 0x14, 0x18, 0x30, 0x50, 0x90, 0x110, 0x810] {
            assert!(!is_bare_ack(other, 0), "{other:#x}");
        }
    }

    proptest! {
        /// Against a count of all lengths, whatever comes in which order.
        #[test]
        fn modes_are_those_of_a_full_count(packets in proptest::collection::vec((any::<bool>(), 0_u32..60), 1..300)) {
            let expected: Vec<String> = packets.chunks(200).map(|chunk| {
                let side = |client| chunk.iter().filter(move |packet| packet.0 == client).map(|packet| packet.1);
                let mode = |client| {
                    let count = |length: u32| side(client).filter(|&other| other == length).count();
                    side(client).max_by_key(|&length| (count(length), u32::MAX - length)).unwrap_or(0)
                };
                let (c, s) = (side(CLIENT).count(), side(SERVER).count());
                format!("c{}s{}_c{c}s{s}_c0s0", mode(CLIENT), mode(SERVER))
            }).collect();
            prop_assert_eq!(values(200, &packets), expected);
        }

        #[test]
        fn segments_add_up_to_the_payload(payload in 0_u32..1 << 20, gso in any::<u16>()) {
            prop_assert_eq!(wire_segments(payload, gso.max(64)).sum::<u32>(), payload);
            prop_assert!(wire_segments(payload, gso.max(64)).all(|length| length > 0 && length <= u32::from(gso.max(64))));
        }
    }
}
