//! Frames with headers inside headers.

use std::sync::{Arc, LazyLock, Mutex};

use ja4::Forms;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::headers::{
    ETHERNET, ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_VLAN, PacketHeaders,
};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::reason::RecordClass;
use ja4_user::encode::{Context, Format, Formatter};
use ja4_user::model::Time;
use ja4_user::shard::lane::{CapturedFrame, Lane};
use ja4_user::shard::{self, Now, ShardBuffers};

use super::Lines;

/// Bytes of the shortest tunnel header: a label. IP headers have more.
const SHORTEST: usize = 4;

/// Frames, each behind its length: from wherever they are read, what is found lies within the frame, one header
/// behind the other, and each tunnel leads further in. Then through a lane: every frame is counted once by the
/// filter, and what it hands over unopened once by the shard.
pub fn tunnels(data: &[u8]) {
    /// Few, so that flows displace each other.
    const LIMITS: shard::ShardLimits =
        shard::ShardLimits { connections: 4, idle: 1, reassembly: 4096, ssh_window: shard::ShardLimits::SSH_WINDOW };

    /// Used again and again, as a shard does: they take long to make.
    static ENGINES: LazyLock<Mutex<ShardBuffers>> = LazyLock::new(|| Mutex::new(ShardBuffers::new(Forms::All)));

    let filter_config = FilterConfig::new([1, 2]);
    let mut lane = Lane::new(&LIMITS);
    let mut engines = ENGINES.lock().unwrap();
    let mut sink = Lines { formatter: Formatter::new(Format::Json, Arc::new(Context::default())), text: Vec::new() };
    let (mut number, mut rest) = (0, data);
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(after.len().min(u16::from_be_bytes([high, low]).into()));
        rest = after;
        // What a capture lacks of it.
        let slice = SliceFrame { bytes, wire_len: bytes.len() + usize::from(high >> 4) };
        for start in starts(bytes) {
            descend(slice, start);
            number += 1;
            let frame =
                CapturedFrame { start, slice, time: Time(number * 100_000_000), interface: 0, point: 0, number };
            lane.frame(&frame, &filter_config, &mut engines, &mut sink);
        }
    }
    let end = Now { time: Time(number * 100_000_000), packet: Some(number) };
    lane.tick(end, &mut engines, &mut sink);
    lane.finish(end, &mut engines, &mut sink);
    let (counters, stats) = (lane.counters(), lane.stats());
    assert!(counters.balanced() && counters.seen == number);
    let (nested, fragments) =
        (counters.emitted[RecordClass::Nested as usize], counters.emitted[RecordClass::Fragment as usize]);
    let opened = stats.decap;
    // Of what is nested, all has an outcome, and so has what was put together of fragments in it.
    let outcomes = opened.processed + opened.unselected + opened.unparseable + opened.fragments + opened.too_deep;
    assert_eq!(nested + stats.fragments.completed, outcomes);
    assert_eq!(opened.records, nested + fragments);
    assert_eq!(counters.emitted.iter().sum::<u64>(), stats.packets);
    assert_eq!((stats.connections, stats.buffered_bytes), (0, 0));
    assert_eq!(stats.opened, stats.ended.iter().sum::<u64>());
}

/// Every place where a frame's headers may begin, and one that the frame itself names.
fn starts(bytes: &[u8]) -> impl Iterator<Item = ParseStart> {
    let at = |ethertype, offset| ParseStart::Network { ethertype, offset };
    let named = bytes.first_chunk().map(|&[high, low, offset]| at(u16::from_be_bytes([high, low]), offset.into()));
    let links = [ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_VLAN, ETHERTYPE_ETHERNET];
    // Behind an Ethernet header lies the same for those that have no link header.
    let network = links.into_iter().map(move |ethertype| at(ethertype, ETHERNET));
    [ParseStart::Ethernet].into_iter().chain(network).chain(named)
}

/// From tunnel to tunnel, as userspace does it, as far as they go.
fn descend(slice: SliceFrame<'_>, start: ParseStart) {
    let (mut slice, mut start) = (slice, start);
    for _ in 0..=slice.bytes.len() / SHORTEST {
        let mut found = PacketHeaders::default();
        let parsed = parse(&slice, start, &mut found);
        let end = slice.bytes.len();
        let (l3, l4, payload) = (found.l3 as usize, found.l4 as usize, found.payload as usize);
        match parsed {
            ParseOutcome::NotIp | ParseOutcome::OtherProtocol | ParseOutcome::Malformed(_) => return,
            ParseOutcome::Fragment => {
                assert!(l3 + 20 <= end && l3 + 20 <= l4 && (found.src_port, found.dst_port) == (0, 0));
                return;
            }
            ParseOutcome::Transport => {
                assert!(l3 + 20 <= l4 && l4 + 8 <= payload && l4 + 8 <= end);
                assert!(matches!((found.proto, payload - l4), (17, 8) | (6, 20..=60)));
                return;
            }
            ParseOutcome::Nested => {
                assert!(l3 + 20 <= end && l3 + 20 <= l4);
                assert_eq!((found.proto, found.src_port, found.dst_port), (0, 0, 0));
            }
        }
        slice = SliceFrame {
            bytes: slice.bytes.get(l4..).unwrap_or_default(),
            wire_len: slice.wire_len.saturating_sub(l4),
        };
        start = match found.inner {
            ETHERTYPE_ETHERNET => ParseStart::Ethernet,
            ethertype => ParseStart::Network { ethertype, offset: 0 },
        };
    }
    panic!("tunnels without an end");
}
