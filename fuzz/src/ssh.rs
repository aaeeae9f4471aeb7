//! SSH in the clear, and what is counted of it.

use ja4::wire::ssh::{MAX_PACKET_LENGTH, SshMessage, SshStatus, SshStream};
use ja4::{Hashers, Hassh, Input, SshWindow};

/// One direction's bytes: the same messages and the same end however they are split; the first byte says
/// how. The same bytes as lengths of packets: no packet goes uncounted.
pub fn ssh(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = messages(stream, stream.len().max(1));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(messages(stream, size), whole, "in pieces of {size}");
    }
    windows(step, stream);
}

/// Identification string and both HASSH as text, and the stream's end.
fn messages(stream: &[u8], piece: usize) -> (Vec<String>, SshStatus) {
    let (mut reader, mut found) = (SshStream::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        let status = reader.push(bytes, |message| match message {
            SshMessage::Identification(line) => {
                assert!(found.is_empty());
                assert!(line.as_bytes().starts_with(b"SSH-") && line.as_bytes().len() <= 255);
                assert!(!line.version().is_empty());
                found.push(format!("{:?}", line.as_bytes()));
            }
            SshMessage::KexInit(offer) => {
                assert_eq!(found.len(), 1);
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
                found.push(format!("{} {}", Hassh::of_client(&offer), Hassh::of_server(&offer)));
                assert_eq!(found[1].len(), 2 * Hassh::LEN + 1);
            }
        });
        assert_eq!(status, reader.status());
        assert!(reader.buffered() <= 2 * (4 + MAX_PACKET_LENGTH));
        assert!(status == SshStatus::Open || reader.buffered() == 0);
    }
    (found, reader.status())
}

/// Two bytes a packet: side and whether it is an ACK in the top bits, and its length.
fn windows(size: u8, packets: &[u8]) {
    use core::num::NonZeroU16;
    use std::collections::BTreeMap;

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
                let mode = |side: &[u32]| {
                    let mut often = BTreeMap::new();
                    side.iter().for_each(|length| *often.entry(*length).or_insert(0) += 1);
                    often.into_iter().max_by_key(|&(length, times)| (times, u32::MAX - length)).map_or(0, |most| most.0)
                };
                let start = format!("c{}s{}_c{client}s{server}_c", mode(&lengths[0]), mode(&lengths[1]));
                assert_eq!(window.modes(), [mode(&lengths[0]), mode(&lengths[1])]);
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
