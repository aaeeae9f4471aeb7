//! Frames with tunnels.

use ja4_common::bytes::SliceFrame;
use ja4_common::headers::{
    ETHERNET, ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_VLAN, PacketHeaders,
};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::reason::RecordClass;
use ja4_common::tunnel::TunnelPorts;

use super::input::length_prefixed;
use super::lane_run::FuzzedLane;

/// Length of the shortest tunnel header: an MPLS label stack entry.
const MIN_TUNNEL_HEADER: usize = 4;

/// Parses and decapsulates frames, each with several kinds of first header.
///
/// Input: frames, each after its length in two bytes. The top four bits of the length are also the number of bytes at
/// the frame's end that were not captured. The first three bytes of a frame are also the EtherType and offset of one
/// more first header.
///
/// Checks that headers follow each other within the frame, that each tunnel header advances, that the filter counts
/// each frame once, and that decapsulation counts one outcome for each nested packet.
pub fn tunnels(data: &[u8]) {
    let mut lane = FuzzedLane::new();
    for (prefix, bytes) in length_prefixed(data, 0xffff) {
        let slice = SliceFrame { bytes, wire_len: bytes.len() + usize::from(prefix >> 12) };
        for start in parse_starts(bytes) {
            check_nesting(slice, start);
            lane.frame(slice, start);
        }
    }
    lane.tick();
    let lane = lane.finish();
    let (counters, stats) = (lane.counters(), lane.stats());
    let [nested, fragments] =
        [RecordClass::Nested, RecordClass::Fragment].map(|class| counters.emitted[class as usize]);
    let decap = stats.decap;
    let dropped = decap.unselected + decap.filtered + decap.unparseable;
    let outcomes = decap.processed + dropped + decap.fragments + decap.too_deep;
    // A datagram that was reassembled from fragments is decapsulated again.
    assert_eq!(nested + stats.fragments.completed, outcomes);
    assert_eq!(decap.records, nested + fragments);
}

/// Returns the kinds of first header: Ethernet, each network header after 14 bytes, and the one that the frame names.
fn parse_starts(bytes: &[u8]) -> impl Iterator<Item = ParseStart> {
    let at = |ethertype, offset| ParseStart::Network { ethertype, offset };
    let named = bytes.first_chunk().map(|&[high, low, offset]| at(u16::from_be_bytes([high, low]), offset.into()));
    let ethertypes = [ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_VLAN, ETHERTYPE_ETHERNET];
    let network = ethertypes.into_iter().map(move |ethertype| at(ethertype, ETHERNET));
    [ParseStart::Ethernet].into_iter().chain(network).chain(named)
}

/// Parses from tunnel to tunnel, without a limit on the depth, and checks the offsets of each level.
fn check_nesting(slice: SliceFrame<'_>, start: ParseStart) {
    let (mut slice, mut start) = (slice, start);
    for _ in 0..=slice.bytes.len() / MIN_TUNNEL_HEADER {
        let mut headers = PacketHeaders::default();
        let outcome = parse(&slice, start, &TunnelPorts::NONE, &mut headers);
        let end = slice.bytes.len();
        let (l3, l4, payload) = (headers.l3 as usize, headers.l4 as usize, headers.payload as usize);
        match outcome {
            ParseOutcome::NotIp | ParseOutcome::OtherProtocol | ParseOutcome::Malformed(_) => return,
            ParseOutcome::Fragment => {
                assert!(l3 + 20 <= end && l3 + 20 <= l4 && (headers.src_port, headers.dst_port) == (0, 0));
                return;
            }
            ParseOutcome::Transport => {
                assert!(l3 + 20 <= l4 && l4 + 8 <= payload && l4 + 8 <= end);
                assert!(matches!((headers.proto, payload - l4), (17, 8) | (6, 20..=60)));
                return;
            }
            ParseOutcome::Nested => {
                assert!(l3 + 20 <= end && l3 + 20 <= l4);
                assert_eq!((headers.proto, headers.src_port, headers.dst_port), (0, 0, 0));
            }
        }
        slice = SliceFrame {
            bytes: slice.bytes.get(l4..).unwrap_or_default(),
            wire_len: slice.wire_len.saturating_sub(l4),
        };
        start = match headers.inner {
            ETHERTYPE_ETHERNET => ParseStart::Ethernet,
            ethertype => ParseStart::Network { ethertype, offset: 0 },
        };
    }
    panic!("more tunnel headers than fit the frame");
}
