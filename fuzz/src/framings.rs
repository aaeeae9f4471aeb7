//! Framings under TLS and DTLS.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::framing::proxy::ProxyHeader;
use ja4::wire::framing::{FrameContent, Recognized, StreamFraming, Unframe, turn};
use ja4_user::conntrack::Budget;
use ja4_user::model::Side;
use ja4_user::protocol::openvpn::{ControlChannel, ControlEvent};

use super::input::{assert_split_invariant, length_prefixed};

/// Parses a PROXY protocol header at the start of a client's stream.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream.
///
/// Checks that the stream after the header, or the error, does not depend on how the stream is split into chunks, and
/// that a header has at least 14 bytes.
pub fn proxy(data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    let after_header = assert_split_invariant(stream, extra, after_proxy_header);
    assert!(!matches!(&after_header, Ok(Some(rest)) if !stream.ends_with(rest) || rest.len() + 14 > stream.len()));
}

/// Returns the stream after the header; `None` while the header is incomplete.
fn after_proxy_header(stream: &[u8], chunk_len: usize) -> Result<Option<Vec<u8>>, WireError> {
    let (mut header, mut chunks) = (ProxyHeader::new(), stream.chunks(chunk_len));
    while let Some(chunk) = chunks.next() {
        if let Some(rest) = header.push(chunk)? {
            return Ok(Some([rest, &chunks.collect::<Vec<_>>().concat()].concat()));
        }
    }
    Ok(None)
}

/// Removes the framing of one side's TDS packets. For input and checks see [`check_stream_framing`].
pub fn tds(data: &[u8]) {
    check_stream_framing(StreamFraming::Tds, data);
}

/// Removes the framing of one side's TURN messages in a TCP stream. For input and checks see [`check_stream_framing`].
///
/// The input is also parsed as one TURN message over UDP, complete and truncated: its data must be a part of it.
pub fn turn(data: &[u8]) {
    check_stream_framing(StreamFraming::Turn, data);
    for truncated in [false, true] {
        if let Ok(Some(relayed)) = turn::data(data, truncated) {
            let bytes = relayed.bytes;
            assert!(bytes.len() == relayed.length || (truncated && bytes.len() < relayed.length));
            assert!(data.windows(bytes.len().max(1)).any(|part| part == bytes) || bytes.is_empty());
        }
    }
}

/// Removes the framing of datagrams in a TCP stream (RFC 4571). For input and checks see [`check_stream_framing`].
pub fn rfc4571(data: &[u8]) {
    check_stream_framing(StreamFraming::Length, data);
}

/// Reassembles the TLS streams in an OpenVPN control channel.
///
/// Input:
/// - byte 0: memory budget in units of 64 bytes;
/// - rest: packets, each after a prefix of two bytes:
///   - bit 15: the low end of the flow sent the packet, otherwise the high end;
///   - bits 0 to 14: length.
///
/// Checks that buffers stay within the budget, that each side has at most one incomplete message, and that all memory
/// is released. The same bytes are also read as a TCP stream, see [`check_stream_framing`].
pub fn openvpn(data: &[u8]) {
    const FROM_LOW: u16 = 0x8000;
    const LENGTH: u16 = 0x7fff;

    check_stream_framing(StreamFraming::OpenVpn, data);
    let Some((&budget, packets)) = data.split_first() else {
        return;
    };
    let (mut channel, mut budget) = (ControlChannel::default(), Budget::new(64 * usize::from(budget)));
    for (prefix, bytes) in length_prefixed(packets, LENGTH) {
        if let Ok(Some((side, packet))) = channel.packet(bytes, prefix & FROM_LOW == 0) {
            assert!(packet.payload.len() + 14 <= usize::from(prefix & LENGTH));
            let outcome = channel.push(side, &packet, &mut budget, |event| match event {
                ControlEvent::Message(side, message) if message.body.first() == Some(&0xaa) && side == Side::Client => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            });
            assert!(outcome.duplicate <= packet.payload.len());
        }
        assert!(budget.used() <= budget.max() && channel.incomplete() <= 2);
        assert!(channel.incomplete_messages().count() <= 2);
    }
    channel.clear(&mut budget);
    assert_eq!((budget.used(), channel.incomplete()), (0, 0));
}

/// Removes a framing from a stream.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream.
///
/// Checks that the content and the final result do not depend on how the stream is split into chunks, that the content
/// is not longer than the stream, and that the first [`StreamFraming::ENOUGH`] bytes suffice to recognize a framing.
fn check_stream_framing(framing: StreamFraming, data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    let (contents, _) = assert_split_invariant(stream, extra, |stream, chunk_len| unframed(framing, stream, chunk_len));
    assert!(contents.iter().map(Vec::len).sum::<usize>() <= stream.len());
    let recognized = StreamFraming::recognize(stream);
    assert!(stream.len() < StreamFraming::ENOUGH || recognized != Recognized::TooFew);
    if stream.len() >= StreamFraming::ENOUGH {
        assert_eq!(StreamFraming::recognize(&stream[..StreamFraming::ENOUGH]), recognized);
    }
}

/// Returns each datagram in the frames, then the stream in the frames, and the error that ended the framing.
fn unframed(framing: StreamFraming, stream: &[u8], chunk_len: usize) -> (Vec<Vec<u8>>, Result<(), WireError>) {
    let (mut unframe, mut contents, mut inner_stream) = (Unframe::new(framing), Vec::new(), Vec::new());
    for chunk in stream.chunks(chunk_len) {
        let pushed = unframe.push(chunk, |content| match content {
            FrameContent::Stream(bytes) => inner_stream.extend_from_slice(bytes),
            FrameContent::Datagram(bytes) => contents.push(bytes.to_vec()),
        });
        if pushed.is_err() {
            contents.push(inner_stream);
            return (contents, pushed);
        }
    }
    contents.push(inner_stream);
    (contents, Ok(()))
}
