//! JA4SSH: SSH traffic (FoxIO JA4+ technical details, JA4SSH.md).
//!
//! ```text
//! c<client mode>s<server mode>_c<client packets>s<server packets>_c<client ACKs>s<server ACKs>
//! ```

use crate::fingerprint::ssh_window::SshWindow;

/// Appends the value, and clears the window.
pub(super) fn write(window: &mut SshWindow, out: &mut String) {
    let pairs = [window.modes(), window.packets().map(u32::from), window.acks()];
    let mut digits = itoa::Buffer::new();
    for (index, [client, server]) in pairs.into_iter().enumerate() {
        out.push_str(if index == 0 { "c" } else { "_c" });
        out.push_str(digits.format(client));
        out.push('s');
        out.push_str(digits.format(server));
    }
    window.clear();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use core::num::NonZeroU16;

    use super::*;

    /// The longest length that is counted.
    const MAX: u32 = u32::MAX / 2;
    const CLIENT: bool = true;
    const SERVER: bool = false;

    fn window(size: u16) -> SshWindow {
        SshWindow::new(NonZeroU16::new(size).unwrap())
    }

    fn value(window: &mut SshWindow) -> String {
        let mut out = String::new();
        write(window, &mut out);
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
    fn published_example() {
        let mut window = SshWindow::default();
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
    fn the_200th_packet_ends_a_window_and_the_next_one_starts_another() {
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
    fn a_length_is_counted_fully_after_many_others() {
        let others = (0..100).map(|length| (CLIENT, 1000 + length));
        let packets: Vec<_> = others.chain([(CLIENT, 52); 3]).chain([(CLIENT, 44); 2]).collect();
        assert_eq!(values(200, &packets), ["c52s0_c105s0_c0s0"]);
    }

    #[test]
    fn acks_count_in_the_current_window_and_fill_none() {
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
    fn a_full_window_counts_no_more_and_its_memory_is_reused() {
        let mut window = window(2);
        assert_eq!(window.heap_size(), 0);
        for length in [5, 6, 7, 8] {
            window.packet(CLIENT, length);
        }
        let heap = window.heap_size();
        assert_eq!(value(&mut window), "c5s0_c2s0_c0s0");
        window.packet(CLIENT, u32::MAX);
        window.packet(SERVER, u32::MAX);
        assert_eq!(value(&mut window), format!("c{MAX}s{MAX}_c1s1_c0s0"));
        assert_eq!(window.heap_size(), heap);
        assert!(size_of::<SshWindow>() <= 40);
    }

    #[test]
    fn a_merged_packet_counts_as_its_segments_on_the_wire() {
        let segments = |payload, gso| SshWindow::wire_segments(payload, gso).collect::<Vec<_>>();
        assert_eq!(segments(3000, 1448), [1448, 1448, 104]);
        assert_eq!(segments(2896, 1448), [1448, 1448]);
        assert_eq!(segments(100, 1448), [100]);
        assert_eq!(segments(3000, 0), [3000]);
        assert_eq!(segments(0, 1448), [0; 0]);
        assert_eq!(segments(0, 0), [0; 0]);
    }

    #[test]
    fn a_bare_ack_has_no_other_flag_and_no_payload() {
        assert!(SshWindow::is_bare_ack(0x10, 0));
        assert!(!SshWindow::is_bare_ack(0x10, 1));
        for other in [0x00, 0x11, 0x12, 0x14, 0x18, 0x30, 0x50, 0x90, 0x110, 0x810] {
            assert!(!SshWindow::is_bare_ack(other, 0), "{other:#x}");
        }
    }

    proptest! {
        /// Compared with a count of all lengths.
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
            prop_assert_eq!(SshWindow::wire_segments(payload, gso.max(64)).sum::<u32>(), payload);
            prop_assert!(SshWindow::wire_segments(payload, gso.max(64)).all(|length| length > 0 && length <= u32::from(gso.max(64))));
        }
    }
}
