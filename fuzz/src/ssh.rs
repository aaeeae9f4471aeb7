//! Unencrypted messages of an SSH connection, and its packet windows.

use core::num::NonZeroU16;
use std::collections::BTreeMap;

use ja4::wire::ssh::{MAX_PACKET_LENGTH, SshMessage, SshStatus, SshStream};
use ja4::{Hashers, Hassh, Input, SshWindow};

use super::input::assert_split_invariant;

/// Parses one direction of an SSH connection.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream.
///
/// Checks that the messages and the final status do not depend on how the stream is split into chunks, and that the
/// buffer stays within its bound. The same bytes are also read as packet lengths, see [`check_windows`].
pub fn ssh(data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    assert_split_invariant(stream, extra, messages);
    check_windows(extra, stream);
}

/// Returns the identification string and both HASSH values as text, and the final status of the stream.
fn messages(stream: &[u8], chunk_len: usize) -> (Vec<String>, SshStatus) {
    let (mut reader, mut messages) = (SshStream::new(), Vec::new());
    for chunk in stream.chunks(chunk_len) {
        let status = reader.push(chunk, |message| match message {
            SshMessage::Identification(line) => {
                assert!(messages.is_empty());
                assert!(line.as_bytes().starts_with(b"SSH-") && line.as_bytes().len() <= 255);
                assert!(!line.version().is_empty());
                messages.push(format!("{:?}", line.as_bytes()));
            }
            SshMessage::KexInit(offer) => {
                assert_eq!(messages.len(), 1);
                let lists = [
                    offer.kex,
                    offer.host_key,
                    offer.encryption_c2s,
                    offer.encryption_s2c,
                    offer.mac_c2s,
                    offer.mac_s2c,
                    offer.compression_c2s,
                    offer.compression_s2c,
                    offer.languages_c2s,
                    offer.languages_s2c,
                ];
                assert!(lists.iter().map(|list| list.len()).sum::<usize>() <= MAX_PACKET_LENGTH);
                messages.push(format!("{} {}", Hassh::of_client(&offer), Hassh::of_server(&offer)));
                assert_eq!(messages[1].len(), 2 * Hassh::LEN + 1);
            }
        });
        assert_eq!(status, reader.status());
        assert!(reader.buffered() <= 2 * (4 + MAX_PACKET_LENGTH));
        assert!(status == SshStatus::Open || reader.buffered() == 0);
    }
    (messages, reader.status())
}

/// Counts packets in windows of `size` + 1 packets.
///
/// `packets` has two bytes for each packet:
/// - bit 15: the client sent it;
/// - bit 14: it is a bare ACK;
/// - bits 0 to 13: payload length; a length over one segment is split as on the wire.
///
/// Checks that each packet is counted once, that a window ends after its number of packets, that its modes are the most
/// frequent lengths of each side, and that JA4SSH begins with these modes and counts.
fn check_windows(size: u8, packets: &[u8]) {
    let size = NonZeroU16::new(u16::from(size) + 1).unwrap();
    let (mut window, mut hashers, mut counted) = (SshWindow::new(size), Hashers::default(), 0);
    let mut lengths: [Vec<u32>; 2] = Default::default();
    for &[high, low] in packets.as_chunks().0 {
        let (from_client, ack) = (high & 0x80 != 0, high & 0x40 != 0);
        if ack {
            window.ack(from_client);
            continue;
        }
        for length in SshWindow::wire_segments(u32::from_be_bytes([0, 0, high & 0x3f, low]), 1448) {
            counted += 1;
            lengths[usize::from(!from_client)].push(length);
            let full = window.packet(from_client, length);
            let [client, server] = window.packets();
            assert_eq!(u64::from(client) + u64::from(server), counted);
            assert_eq!(full, counted == u64::from(size.get()));
            if full {
                let modes = [mode(&lengths[0]), mode(&lengths[1])];
                let start = format!("c{}s{}_c{client}s{server}_c", modes[0], modes[1]);
                assert_eq!(window.modes(), modes);
                match hashers.compute(Input::SshWindow(&mut window)) {
                    Some(value) => assert!(value.as_str().starts_with(&start), "{value}"),
                    None => window.clear(),
                }
                assert!(window.is_empty() && window.heap_size() <= 16 * usize::from(size.get()).max(4));
                counted = 0;
                lengths.iter_mut().for_each(Vec::clear);
            }
        }
    }
}

/// Returns the most frequent length, the shortest of several; 0 without lengths.
fn mode(lengths: &[u32]) -> u32 {
    let mut counts = BTreeMap::new();
    lengths.iter().for_each(|length| *counts.entry(*length).or_insert(0) += 1);
    counts.into_iter().max_by_key(|&(length, count)| (count, u32::MAX - length)).map_or(0, |(length, _)| length)
}
