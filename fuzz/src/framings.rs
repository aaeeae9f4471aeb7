//! Framings under TLS and DTLS.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::framing::proxy::ProxyHeader;
use ja4::wire::framing::{FrameContent, Recognized, StreamFraming, Unframe, turn};
use ja4_user::conntrack::Budget;
use ja4_user::model::Side;
use ja4_user::protocol::openvpn::{ControlChannel, ControlEvent};

/// The first bytes of a client: the same stream is behind the PROXY protocol header, or the same error comes, however
/// the bytes are split. The first byte says how.
pub fn proxy(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = behind_proxy(stream, stream.len().max(1));
    assert!(!matches!(&whole, Ok(Some(rest)) if !stream.ends_with(rest) || rest.len() + 14 > stream.len()));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(behind_proxy(stream, size), whole, "in pieces of {size}");
    }
}

fn behind_proxy(stream: &[u8], size: usize) -> Result<Option<Vec<u8>>, WireError> {
    let (mut header, mut pieces) = (ProxyHeader::new(), stream.chunks(size));
    while let Some(piece) = pieces.next() {
        if let Some(rest) = header.push(piece)? {
            return Ok(Some([rest, &pieces.collect::<Vec<_>>().concat()].concat()));
        }
    }
    Ok(None)
}

/// One side's TDS packets: the same stream and the same end however they are split. The first byte says how.
pub fn tds(data: &[u8]) {
    unframe(StreamFraming::Tds, data);
}

/// One side's TURN messages in a TCP stream, likewise; and one message: its data is part of it.
pub fn turn(data: &[u8]) {
    unframe(StreamFraming::Turn, data);
    for truncated in [false, true] {
        if let Ok(Some(found)) = turn::data(data, truncated) {
            assert!(found.bytes.len() == found.length || (truncated && found.bytes.len() < found.length));
            assert!(data.windows(found.bytes.len().max(1)).any(|part| part == found.bytes) || found.bytes.is_empty());
        }
    }
}

/// Datagrams behind their lengths (RFC 4571) in a TCP stream: as above.
pub fn rfc4571(data: &[u8]) {
    unframe(StreamFraming::Length, data);
}

/// Packets of an OpenVPN control channel, each behind its length, in which the top bit says that the low end sends it;
/// the first byte is the budget. Buffered bytes stay within the budget, and are returned to it; then the same bytes in
/// a TCP stream, split in any way.
pub fn openvpn(data: &[u8]) {
    unframe(StreamFraming::OpenVpn, data);
    let Some((&budget, mut rest)) = data.split_first() else {
        return;
    };
    let (mut channel, mut budget) = (ControlChannel::default(), Budget::new(64 * usize::from(budget)));
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high & 0x7f, low]));
        let (packet, after) = after.split_at(after.len().min(length));
        rest = after;
        if let Ok(Some((side, packet))) = channel.packet(packet, high & 0x80 == 0) {
            assert!(packet.payload.len() + 14 <= length);
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

fn unframe(framing: StreamFraming, data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = contents(framing, stream, stream.len().max(1));
    let carried: usize = whole.0.iter().map(Vec::len).sum();
    assert!(carried <= stream.len());
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(contents(framing, stream, size), whole, "in pieces of {size}");
    }
    // The first bytes alone decide the framing, and further bytes do not change the decision.
    let recognized = StreamFraming::recognize(stream);
    assert!(stream.len() < StreamFraming::ENOUGH || recognized != Recognized::TooFew);
    if stream.len() >= StreamFraming::ENOUGH {
        assert_eq!(StreamFraming::recognize(&stream[..StreamFraming::ENOUGH]), recognized);
    }
}

/// The stream, or else the datagrams, that the frames carry, and whether the framing goes on.
fn contents(framing: StreamFraming, stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), WireError>) {
    let (mut unframe, mut found, mut carried) = (Unframe::new(framing), Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        let pushed = unframe.push(piece, |content| match content {
            FrameContent::Stream(bytes) => carried.extend_from_slice(bytes),
            FrameContent::Datagram(bytes) => found.push(bytes.to_vec()),
        });
        if pushed.is_err() {
            found.push(carried);
            return (found, pushed);
        }
    }
    found.push(carried);
    (found, Ok(()))
}
