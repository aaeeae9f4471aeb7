//! Properties of arbitrary packets, checked in user space alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{FlowEntry, FlowKey, shard_of};
use ja4_common::headers::{ETHERTYPE_ETHERNET, PROTO_TCP, PROTO_UDP, PacketHeaders};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::reason::RecordClass;
use ja4_common::record::{FrameInfo, flag};
use ja4_common::tunnel::TunnelPorts;
use proptest::collection::vec;
use proptest::prelude::*;
use tests::datagram::Datagram;
use tests::fragment::Fragments;
use tests::outer_layer::{Gre, OuterLayer, TunnelKind};
use tests::packets::{ACK, Envelope};

use crate::comparison::{SEED, SHORTEST};
use crate::frames::{Setting, all_series, between, dtls, initial, long, segment};
use crate::model::Model;

/// Returns arbitrary addresses and ports.
fn packet() -> impl Strategy<Value = PacketHeaders> {
    let address = any::<[u64; 2]>();
    // Few ports, so that equal ones occur.
    (any::<bool>(), address, address, 0..4_u16, 0..4_u16, any::<bool>()).prop_map(
        |(four, src, dst, src_port, dst_port, tcp)| {
            let narrow = |[high, low]: [u64; 2]| {
                if four { [0, low & 0xffff_ffff] } else { [high, low] }
            };
            PacketHeaders {
                src: narrow(src),
                dst: narrow(dst),
                src_port,
                dst_port,
                proto: if tcp { PROTO_TCP } else { PROTO_UDP },
                version: if four { 4 } else { 6 },
                ..PacketHeaders::default()
            }
        },
    )
}

fn reversed(packet: &PacketHeaders) -> PacketHeaders {
    PacketHeaders { src: packet.dst, dst: packet.src, src_port: packet.dst_port, dst_port: packet.src_port, ..*packet }
}

/// Returns Ethernet frames with headers that announce a nested header: labels, another IP header, GRE, or a tunnel over
/// UDP. The caller appends the content.
fn tunnel_head() -> impl Strategy<Value = Vec<u8>> {
    let ethernet = |ethertype: [u8; 2]| [&[2; 12][..], &ethertype].concat();
    let ip = move |protocol: u8| {
        [&ethernet([0x08, 0x00])[..], &[0x45, 0, 0, 200, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]]
            .concat()
    };
    let six = move |next: u8| {
        [&ethernet([0x86, 0xdd])[..], &[0x60, 0, 0, 0, 0, 200, next, 64], &[0x20; 16], &[0x30; 16]].concat()
    };
    let udp = |port: u16| [&[0xc3, 0x51][..], &port.to_be_bytes(), &[0, 180, 0, 0]].concat();
    let protocols = prop::sample::select(vec![4_u8, 6, 17, 41, 44, 47]);
    let ports = prop::sample::select(vec![67_u16, 443, 546, 2152, 4789, 4790, 6081, 8472]);
    prop_oneof![
        any::<bool>().prop_map(move |up| ethernet([0x88, 0x47 + u8::from(up)])),
        protocols.clone().prop_map(ip),
        protocols.prop_map(six),
        ports.clone().prop_map(move |port| [ip(17), udp(port)].concat()),
        ports.prop_map(move |port| [six(17), udp(port)].concat()),
        // GRE and GTP-U with plausible first bytes, so that parsing continues further in.
        any::<u8>().prop_map(move |flags| [&ip(47)[..], &[flags & 0xb0, 0]].concat()),
        any::<u8>().prop_map(move |flags| [&ip(17)[..], &udp(2152), &[0x30 | flags & 7, 0xff]].concat()),
    ]
}

/// Returns the shard of a frame that is handed over without decapsulation, `None` for other frames.
fn undecapsulated_shard(frame: &[u8], shards: u32) -> Option<u32> {
    let slice = SliceFrame { bytes: frame, wire_len: frame.len() };
    let result = Model::new(FilterConfig::new(SEED)).filter(&slice, ParseStart::Ethernet, FrameInfo::default());
    let (header, bytes) = result.record?;
    let class = RecordClass::ALL[usize::from(header.class)];
    assert!(matches!(class, RecordClass::Fragment | RecordClass::Nested), "{class:?}");
    assert_eq!(bytes, frame, "the frame is not complete");
    Some(shard_of(header.hash, shards))
}

/// Returns crafted frames with some bytes changed or truncated, and frames of random bytes.
fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let originals: Vec<Vec<u8>> = all_series().into_iter().flat_map(|(_, frames)| frames).collect();
    let corrupted = (
        prop::sample::select(originals),
        vec((12..130_usize, any::<u8>()), 0..4),
        prop_oneof![3 => Just(usize::MAX), 1 => 0..200_usize],
    )
        .prop_map(|(mut frame, changes, cut)| {
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            frame.truncate(cut);
            frame
        });
    vec(prop_oneof![9 => corrupted, 1 => vec(any::<u8>(), 0..200)], 1..12)
}

/// Fails if the result for frames parsed from the Ethernet header, where the fast path starts, differs from the result
/// for frames parsed from the IP header. `missing` bytes of each frame are not captured.
fn assert_same_on_both_paths(frames: &[Vec<u8>], missing: usize) -> Result<(), TestCaseError> {
    let mut fast = Model::new(FilterConfig::new(SEED));
    let mut slow = Model::new(FilterConfig::new(SEED));
    for frame in frames {
        let slice = SliceFrame { bytes: frame, wire_len: frame.len() + missing };
        let ethertype = frame.get(SHORTEST - 2..SHORTEST).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        // Without an EtherType there is no second path. The EtherType of bridged Ethernet announces a second Ethernet
        // header only after another header. In both cases the test only checks for panics.
        let Some(ethertype) = ethertype.filter(|ethertype| *ethertype != ETHERTYPE_ETHERNET) else {
            fast.filter(&slice, ParseStart::Ethernet, FrameInfo::default());
            continue;
        };
        let network = ParseStart::Network { ethertype, offset: SHORTEST };
        let result = fast.filter(&slice, ParseStart::Ethernet, FrameInfo::default());
        prop_assert_eq!(result, slow.filter(&slice, network, FrameInfo::default()));
    }
    prop_assert_eq!(entries_of(&fast), entries_of(&slow));
    Ok(())
}

fn entries_of(model: &Model) -> BTreeMap<u64, FlowEntry> {
    model.tables.entries().map(|(hash, entry)| (*hash, *entry)).collect()
}

/// Eight bytes are too few for a ClientHello, as the entire payload or as a trailer after the datagram.
#[test]
fn eight_bytes_of_an_untracked_flow_are_no_hello() {
    let frame = segment(1, ACK, &[], &[22, 3, 1, 6, 0xd4, 1, 0, 6]);
    let mut trailer = segment(1, ACK, &[], &[]);
    trailer.extend([22, 3, 1, 6, 0xd4, 1, 0, 6, 0xd0, 3, 3]);
    assert_same_on_both_paths(&[frame], 0).unwrap();
    assert_same_on_both_paths(&[trailer], 0).unwrap();
}

/// The announced length of a bare ACK is evaluated on the SSH port, although no protocol signature matches.
#[test]
fn both_paths_agree_on_a_truncated_ack_to_the_ssh_port() {
    for ends in [("10.0.0.1:51506", "10.0.0.2:22"), ("[fd00::1]:22", "[fd00::2]:51506")] {
        let mut frame = between(ends, &Envelope::default(), 1, ACK, &[1; 12], &[]);
        assert_same_on_both_paths(std::slice::from_ref(&frame), 0).unwrap();
        frame.pop();
        assert_same_on_both_paths(&[frame], 0).unwrap();
    }
}

proptest! {
    // Files of past failures would be created beside the test; past failures are named tests above.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_directions_are_one_flow(packet in packet(), seed in any::<[u64; 2]>(), shards in 1..=64_u32) {
        let back = reversed(&packet);
        let ((key, end), (back_key, back_end)) = (FlowKey::of(&packet), FlowKey::of(&back));
        prop_assert_eq!(key, back_key);
        let to_itself = packet.src == packet.dst && packet.src_port == packet.dst_port;
        prop_assert_eq!(end == back_end, to_itself);
        prop_assert_eq!(packet.hash(seed), back.hash(seed));
        prop_assert_eq!(packet.hash(seed), key.hash(seed));
        prop_assert!(shard_of(packet.hash(seed), shards) < shards);
    }

    #[test]
    fn the_fast_path_agrees_with_the_slow_path(frames in frames(), missing in 0..3_usize) {
        assert_same_on_both_paths(&frames, missing)?;
    }

    #[test]
    fn the_fast_path_agrees_with_the_slow_path_after_any_header(
        frames in vec((tunnel_head(), vec(any::<u8>(), 0..120)).prop_map(|(head, rest)| [head, rest].concat()), 1..12),
        missing in 0..3_usize,
    ) {
        assert_same_on_both_paths(&frames, missing)?;
    }

    #[test]
    fn both_directions_of_datagrams_are_one_entry(
        first in prop::sample::select(vec![initial(), dtls(1), dtls(2)]),
        // Below the ports of tunnels.
        ports in (1024..1700_u16, 1024..1700_u16),
        rest in vec((any::<bool>(), prop_oneof![
            any::<u8>().prop_map(|first| long(first, 1, 60)), any::<u8>().prop_map(dtls), vec(any::<u8>(), 0..40),
        ]), 0..12),
        six in any::<bool>(),
        accounting in 0..2_u32,
    ) {
        let setting = Setting { six, ..Setting::default() };
        let mut model = Model::new(FilterConfig { accounting, ..FilterConfig::new(SEED) });
        let mut sent = [1_u64, 0];
        let mut filter = |frame: &[u8]| {
            let slice = SliceFrame { bytes: frame, wire_len: frame.len() };
            model.filter(&slice, ParseStart::Ethernet, FrameInfo::default()).record.map(|(header, _)| header.flags & flag::FROM_CLIENT)
        };
        let opened_by_client = filter(&setting.datagram(ports, &first));
        prop_assert!(opened_by_client.is_some());
        for (back, payload) in &rest {
            let frame = if *back { setting.reply(ports, payload) } else { setting.datagram(ports, payload) };
            // The client role does not change after the first datagram.
            if let Some(from_client) = filter(&frame) {
                prop_assert_eq!(Some(from_client) == opened_by_client, !back);
            }
            sent[usize::from(*back)] += 1;
        }
        let entries: Vec<_> = model.tables.entries().map(|(_, entry)| entry.counters().packets).collect();
        prop_assert_eq!(entries.len(), 1);
        // The client has the lower address. Without accounting, bulk packets are not counted.
        let [[low, high], [datagrams, replies]] = [entries[0], sent];
        let not_more = low <= datagrams && high <= replies;
        prop_assert!(not_more && (accounting == 0 || [low, high] == sent), "{low} of {datagrams}, {high} of {replies}");
    }

    #[test]
    fn packets_without_ports_of_two_hosts_go_to_one_shard(
        hosts in (any::<u32>(), any::<u32>()),
        ports in vec((any::<u16>(), any::<u16>()), 1..4),
        shards in 1..=64_u32,
        six in any::<bool>(),
    ) {
        let address = |host: u32| -> IpAddr {
            if six { Ipv6Addr::from(u128::from(host) << 64 | 0xfd).into() } else { Ipv4Addr::from(host).into() }
        };
        let (here, there) = (address(hosts.0), address(hosts.1));
        let datagram = |from: SocketAddr, to: SocketAddr| Datagram { from, to, ttl: 9, payload: &[7; 64] }.frame();
        let mut found = BTreeSet::new();
        for (a, b) in ports {
            let (a, b) = (SocketAddr::new(here, a), SocketAddr::new(there, b));
            for frame in [datagram(a, b), datagram(b, a)] {
                found.extend(Fragments::of(&frame).pieces(3).iter().map(|piece| undecapsulated_shard(piece, shards)));
            }
        }
        prop_assert_eq!(found.len(), 1, "fragments");

        let inner = Setting::default().segment((1, 2), 3, ACK, &[]);
        let tunnel = |from, to, kind| OuterLayer::Tunnel { from, to, kind };
        let (one, two) = (tunnel(here, there, TunnelKind::Vxlan(1)), tunnel(here, there, TunnelKind::Gre(Gre::default())));
        let outer = tunnel([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), TunnelKind::Ip);
        let nested = [&one, &two].map(|middle| [outer.wrap(&middle.wrap(&inner)), outer.reversed().wrap(&middle.reversed().wrap(&inner))]);
        let found: BTreeSet<_> = nested.iter().flatten().map(|frame| undecapsulated_shard(frame, shards)).collect();
        prop_assert_eq!(found.len(), 1, "tunnels in a tunnel");
    }

    #[test]
    fn the_filter_does_not_panic_after_any_header(head in tunnel_head(), rest in vec(any::<u8>(), 0..600), cut in 0..700_usize) {
        let mut frame = [head, rest].concat();
        frame.truncate(cut.max(1));
        let slice = SliceFrame { bytes: &frame, wire_len: frame.len() };
        let mut found = PacketHeaders::default();
        if parse(&slice, ParseStart::Ethernet, &TunnelPorts::NONE, &mut found) == ParseOutcome::Transport {
            prop_assert!(found.l3 < found.l4 && found.l4 < found.payload && (found.l4 as usize) < frame.len());
        }
        Model::new(FilterConfig::new(SEED)).filter(&slice, ParseStart::Ethernet, FrameInfo::default());
    }

    #[test]
    fn the_filter_does_not_panic_on_any_bytes(frame in vec(any::<u8>(), 0..200), ethertype in any::<u16>(), offset in 0..300_usize) {
        let slice = SliceFrame { bytes: &frame, wire_len: frame.len() };
        let ip = if ethertype & 1 == 0 { 0x0800 } else { 0x86dd };
        for start in [
            ParseStart::Ethernet,
            ParseStart::Network { ethertype, offset },
            ParseStart::Network { ethertype: ip, offset: offset % 16 },
        ] {
            parse(&slice, start, &TunnelPorts::NONE, &mut PacketHeaders::default());
            Model::new(FilterConfig::new(SEED)).filter(&slice, start, FrameInfo::default());
        }
    }
}
