//! Packets in tunnels of every kind, well-formed and malformed, and nested tunnels.

use ja4_common::tunnel::TunnelPorts;
use tests::framing::{OpenVpn, channel_data, indication};
use tests::hello::Shape;
use tests::outer_layer::{Gre, LinkLayer, OuterLayer, TunnelKind};
use tests::packets::{ACK, Envelope, PSH, SYN};

use super::datagrams::dtls;
use super::quic::initial;
use super::setting::Setting;
use super::{hello_record, raw};

/// Endpoints of tunnels, IPv4 and IPv6.
const ENDS: [(&str, &str); 2] = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];

/// EtherTypes in network byte order, as in a tunnel's header.
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERNET: [u8; 2] = [0x65, 0x58];

/// Returns inner packets: a SYN, a hello, QUIC, DTLS, HTTP, SSH, bulk; plain and tagged, IPv4 and IPv6.
pub(crate) fn inner() -> Vec<Vec<u8>> {
    let tagged = Envelope { vlan: vec![9], ..Envelope::default() };
    let settings = [
        Setting::default(),
        Setting { six: true, ..Setting::default() },
        Setting { envelope: tagged, ..Setting::default() },
    ];
    let packets = settings.into_iter().flat_map(|setting| {
        let tcp = |server, flags, payload: &[u8]| setting.segment((5000, server), 1, flags, payload);
        vec![
            tcp(443, SYN, &[]),
            tcp(443, PSH | ACK, &hello_record(Shape::Curl)),
            tcp(8080, PSH | ACK, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            tcp(2222, PSH | ACK, b"SSH-2.0-a\r\n"),
            tcp(9, ACK, &[7; 50]),
            setting.datagram((5000, 443), &initial()),
            setting.datagram((5001, 443), &dtls(1)),
            setting.datagram((68, 67), &[1; 300]),
            setting.datagram((5002, 53), &[7; 50]),
            setting.datagram((5003, 1194), &OpenVpn::client().reset(&[])),
            setting.datagram((5004, 1194), &OpenVpn::server().reset(&[0])),
            setting.datagram((5005, 1194), &OpenVpn::client().soft_reset()),
            setting.datagram((5006, 1194), &OpenVpn::client().control(1, &[], &hello_record(Shape::Curl))),
            setting.datagram((5007, 1194), &OpenVpn::server().with_key(1).control(1, &[], &hello_record(Shape::Curl))),
            setting.datagram((5008, 3478), &channel_data(0x4001, &dtls(1))),
            setting.datagram((5009, 3478), &indication(0x16, &dtls(1))),
        ]
    });
    packets.collect()
}

/// Returns every carrier that the filter decapsulates.
pub(crate) fn carriers() -> Vec<OuterLayer> {
    let geneve = TunnelKind::Geneve { vni: 5, options: Vec::new(), ethernet: true };
    let mut kinds = vec![
        TunnelKind::Ip,
        TunnelKind::Erspan(0x123),
        TunnelKind::ErspanOne,
        TunnelKind::ErspanThree(0x123),
        TunnelKind::Vxlan(5),
        TunnelKind::VxlanGpe(5),
        // Ports that one of the configurations names.
        TunnelKind::OnPort(VXLAN_PORT, Box::new(TunnelKind::Vxlan(5))),
        TunnelKind::OnPort(GENEVE_PORT, Box::new(geneve)),
    ];
    for bits in 0..8 {
        let fields =
            Gre { checksum: bits & 1 != 0, key: (bits & 2 != 0).then_some(7), sequence: (bits & 4 != 0).then_some(8) };
        kinds.extend([TunnelKind::Gre(fields), TunnelKind::GreEthernet(fields)]);
    }
    for (count, ethernet) in [(0, true), (0, false), (1, true), (3, false), (15, false)] {
        let options = vec![(0x0102, 3, vec![1; 12]); count];
        kinds.push(TunnelKind::Geneve { vni: 5, options, ethernet });
    }
    for count in 0..=4 {
        for sequence in [None, Some(3)] {
            kinds.push(TunnelKind::GtpU { teid: 6, sequence, extensions: vec![(0x85, vec![0x10, 9]); count] });
        }
    }
    kinds.extend([TunnelKind::EtherIp, TunnelKind::Tzsp]);
    for is in [false, true] {
        kinds.extend([TunnelKind::L2tp { optional: is }, TunnelKind::Pptp { acknowledgment: is }]);
        kinds.extend([0, 4, 8, 12].map(|cookie| TunnelKind::L2tpEthernet { udp: is, cookie }));
    }
    let tunnels = kinds.iter().flat_map(|kind| ENDS.map(|(from, to)| OuterLayer::between(from, to, kind.clone())));
    let labels = (1..=6).map(|depth| OuterLayer::Mpls(vec![16; depth]));
    labels.chain(tunnels).chain(links()).collect()
}

/// Returns every link header.
fn links() -> impl Iterator<Item = OuterLayer> {
    let tags = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
    let mut links: Vec<_> =
        (1..=4).map(|count| LinkLayer::Tags((0..count).map(|at| (tags[at + 1], at as u16)).collect())).collect();
    links.extend([LinkLayer::Snap, LinkLayer::Backbone, LinkLayer::VnTag, LinkLayer::FabricPath, LinkLayer::MetaData]);
    for is in [false, true] {
        links.extend([LinkLayer::Pppoe { compressed: is }, LinkLayer::Nsh { ethernet: is }]);
        links.push(LinkLayer::Pseudowire { control_word: is });
    }
    links.into_iter().map(OuterLayer::Link)
}

/// Returns a UDP datagram to a tunnel's port, with this header and content.
fn over_udp(port: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
    Setting::default().datagram((50_001, port), &[header, content].concat())
}

/// Configured ports of tunnels.
pub(crate) const OTHER_PORTS: TunnelPorts = TunnelPorts::new([0, VXLAN_PORT], [GENEVE_PORT, 0]);
const VXLAN_PORT: u16 = 15_000;
const GENEVE_PORT: u16 = 15_001;

/// Returns forms of headers that [`carriers`] does not write.
pub(crate) fn other_tunnels(frame: &[u8]) -> Vec<Vec<u8>> {
    let gre = |flags: u8, kind: [u8; 2], rest: &[u8]| raw(47, &[&[flags, 0], &kind[..], rest, frame].concat());
    vec![
        gre(0x20, [0x88, 0xbe], &[0; 4]),
        // ERSPAN III without the subheader.
        gre(0x10, [0x22, 0xeb], &[0, 0, 0, 1, 0x20, 7, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]),
        over_udp(8472, &[8, 0, 0, 0, 0, 0, 5, 0], frame),
    ]
}

/// Returns every inner packet in every tunnel, in both directions.
pub(super) fn every_tunnel() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let inner = inner();
    for carrier in carriers() {
        frames.extend(inner.iter().flat_map(|frame| [carrier.wrap(frame), carrier.reversed().wrap(frame)]));
    }
    frames.extend(inner.iter().flat_map(|frame| other_tunnels(frame)));
    frames.extend(inner.iter().map(|frame| OuterLayer::Authentication.wrap(frame)));
    let teredo = |authentication, origin| TunnelKind::Teredo { authentication, origin };
    for kind in [teredo(false, false), teredo(false, true), teredo(true, false), teredo(true, true)] {
        let carrier = OuterLayer::between(ENDS[0].0, ENDS[0].1, kind);
        frames.extend(inner.iter().flat_map(|frame| [carrier.wrap(frame), carrier.reversed().wrap(frame)]));
    }
    frames
}

/// Returns tunnel headers with every value of the fields that the parser evaluates.
pub(super) fn header_values() -> Vec<Vec<u8>> {
    let frame = Setting::default().segment((5000, 443), 1, SYN, &[]);
    let packet = &frame[14..];
    let mut frames = Vec::new();
    let kinds = [IPV4, IPV6, ETHERNET, [0x88, 0xbe], [0x22, 0xeb], [0x88, 0x47], [0x88, 0x0b], [0x81, 0], [0, 0]];
    for flags in 0..=255 {
        // 12 bytes: enough for every optional field.
        for (version, kind) in [(0, IPV4), (0, ETHERNET), (1, IPV4), (0, [0x88, 0xbe])] {
            frames.push(raw(47, &[&[flags, version], &kind[..], packet].concat()));
            frames.push(raw(47, &[&[flags, version], &kind[..], &[0; 12], &frame].concat()));
        }
        let byte = [flags, 0, 0, 3, 0, 0, 5, 0];
        frames.extend([4789, 8472, 4790].map(|port| over_udp(port, &byte, &frame)));
        frames.push(over_udp(4790, &[0x0c, 0, 0, flags, 0, 0, 5, 0], &frame));
        frames.push(over_udp(6081, &[flags, 0, 0x65, 0x58, 0, 0, 5, 0], &[&[0; 252], &frame[..]].concat()));
        frames.push(over_udp(6081, &[flags, 0, 0x08, 0, 0, 0, 5, 0], packet));
        frames.push(over_udp(2152, &[flags, 255, 0, 60, 0, 0, 0, 1], packet));
        frames.push(over_udp(2152, &[flags, 255, 0, 64, 0, 0, 0, 1, 0, 1, 0, 0], packet));
        frames.push(over_udp(2152, &[0x30, flags, 0, 60, 0, 0, 0, 1], packet));
        // Every value of the inner packet's first byte.
        for mut inside in [packet.to_vec(), frame.clone()] {
            inside[0] = flags;
            frames.push(over_udp(2152, &[0x30, 255, 0, 60, 0, 0, 0, 1], &inside));
            frames.extend([4, 41].map(|protocol| raw(protocol, &inside)));
            frames.push(labelled(&[0, 1, 0, 64, 0, 2, 1, 64], &inside));
        }
        frames.push(labelled(&[0, 1, flags, 64], packet));
        frames.push(labelled(&[0, 1, 1, 64, flags, 0, 0, 0], &frame));
        // Every value of each byte of the link headers, and of the tunnels that carry PPP or frames.
        for (kind, header) in LINK_HEADERS {
            for at in 0..header.len() {
                let mut header = header.to_vec();
                header[at] = flags;
                frames.extend([packet, &frame].map(|content| tagged(*kind, &header, content)));
            }
        }
        for (port, header) in UDP_HEADERS {
            for at in 0..header.len() {
                let mut header = header.to_vec();
                header[at] = flags;
                frames.extend([packet, &frame].map(|content| over_udp(*port, &header, content)));
            }
        }
        for at in 0..4 {
            let mut header = [0x30, 0x81, 0x88, 0x0b, 0, 62, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0x21];
            header[at] = flags;
            frames.push(raw(47, &[&header[..], packet].concat()));
        }
        frames.extend([97, 115].map(|protocol| raw(protocol, &[&[flags, 0][..], &frame].concat())));
        frames.push(raw(115, &[&[0, 0, 0, flags][..], &frame].concat()));
        frames.push(raw(51, &[&[6, flags, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1][..], &[0; 12], &packet[20..]].concat()));
        frames.push(raw(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, flags, 0, 0, 5, 0, 0, 0, 0], &frame[..]].concat()));
        for at in [0, 10, 11] {
            let mut header = [0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
            header[at] = flags;
            let gre = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1];
            frames.push(raw(47, &[&gre[..], &header, &frame].concat()));
            frames.push(raw(47, &[&gre[..], &header, &[0; 8], &frame].concat()));
        }
    }
    for kind in kinds {
        for content in [packet, &frame] {
            frames.push(raw(47, &[&[0, 0], &kind[..], content].concat()));
            frames.push(over_udp(6081, &[0, 0, kind[0], kind[1], 0, 0, 5, 0], content));
        }
    }
    // GTP-U: up to eight extension headers, with lengths of 0 to 3 words and lengths beyond the frame.
    for count in 0..=8 {
        for words in [0, 1, 2, 3, 100, 255_u8] {
            let mut header = vec![0x34, 255, 0, 100, 0, 0, 0, 1, 0, 1, 0, if count > 0 { 0x85 } else { 0 }];
            for left in (0..count).rev() {
                header.push(words);
                header.resize(header.len() + usize::from(words.max(1)) * 4 - 2, 0x45);
                header.push(if left > 0 { 0x85 } else { 0 });
            }
            frames.push(over_udp(2152, &header, packet));
        }
    }
    frames
}

/// EtherTypes and headers.
const LINK_HEADERS: &[(u16, &[u8])] = &[
    (0x8864, &[0x11, 0, 0, 7, 0, 42, 0, 0x21]),
    (0x8864, &[0x11, 0, 0, 7, 0, 42, 0xff, 3, 0, 0x57]),
    (0x8909, &[1, 1, 0, 1, 0, 5, 8, 0]),
    (0x894f, &[0x0f, 0xc2, 1, 1, 0, 0, 1, 255]),
    (0x894f, &[0x0f, 0xc2, 1, 3, 0, 0, 1, 255]),
    (60, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
    (0x8926, &[0x80, 1, 0, 2, 8, 0]),
    (0x9100, &[0, 5, 8, 0]),
];

/// Ports and headers of tunnels over UDP.
const UDP_HEADERS: &[(u16, &[u8])] = &[
    (1701, &[0, 2, 0, 7, 0, 9, 0, 0x21]),
    (1701, &[0x4a, 2, 0, 60, 0, 7, 0, 9, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0xff, 3, 0, 0x21]),
    (1701, &[0, 3, 0, 0, 0, 0, 0, 5]),
    (3544, &[0, 1, 2, 3, 1, 1, 2, 2, 2, 8, 8, 8, 8, 8, 8, 8, 8, 0, 0, 0, 0xff, 0xee, 1, 2, 3, 4]),
    (37008, &[1, 0, 0, 1, 0, 0x0a, 1, 7, 1]),
];

/// Returns a frame with this EtherType and header.
fn tagged(kind: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
    let frame = Setting::default().segment((5000, 443), 1, SYN, &[]);
    [&frame[..12], &kind.to_be_bytes(), header, content].concat()
}

/// Returns a frame with these labels.
fn labelled(labels: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut frame = Setting::default().segment((5000, 443), 1, SYN, &[])[..14].to_vec();
    frame[12..14].copy_from_slice(&[0x88, 0x47]);
    frame.extend_from_slice(labels);
    frame.extend_from_slice(packet);
    frame
}

/// Returns nested tunnels, two and three deep, and label stacks deeper than the parser's limit.
pub(super) fn nested() -> Vec<Vec<u8>> {
    let frames = [
        Setting::default().segment((5000, 443), 1, SYN, &[]),
        Setting { six: true, ..Setting::default() }.datagram((5000, 443), &initial()),
    ];
    let [ends, _] = ENDS;
    let carrier = |kind| OuterLayer::between(ends.0, ends.1, kind);
    let kinds = [
        OuterLayer::Mpls(vec![16, 17]),
        carrier(TunnelKind::Ip),
        carrier(TunnelKind::Gre(Gre::default())),
        carrier(TunnelKind::GreEthernet(Gre { key: Some(1), ..Gre::default() })),
        carrier(TunnelKind::Erspan(1)),
        carrier(TunnelKind::Vxlan(1)),
        carrier(TunnelKind::Geneve { vni: 1, options: vec![(1, 2, vec![0; 8])], ethernet: false }),
        carrier(TunnelKind::GtpU { teid: 1, sequence: None, extensions: vec![(0x85, vec![0, 9])] }),
    ];
    let mut nested = Vec::new();
    for outer in &kinds {
        for middle in &kinds {
            for frame in &frames {
                // Labels are between a link header and its packet, so the outer tunnel must carry frames or any
                // EtherType.
                if matches!(middle, OuterLayer::Mpls(_)) && !carries_labels(outer) {
                    continue;
                }
                let two = outer.wrap(&middle.wrap(frame));
                nested.extend([outer.reversed().wrap(&middle.reversed().wrap(frame)), two.clone()]);
                nested.push(carrier(TunnelKind::Vxlan(2)).wrap(&two));
            }
        }
    }
    let deep = (7..=9).map(|depth| OuterLayer::Mpls(vec![16; depth]).wrap(&frames[0]));
    nested.into_iter().chain(deep).collect()
}

/// Returns whether the carrier contains frames, or packets of any EtherType.
fn carries_labels(carrier: &OuterLayer) -> bool {
    !matches!(carrier, OuterLayer::Tunnel { kind: TunnelKind::Ip | TunnelKind::GtpU { .. }, .. })
}
