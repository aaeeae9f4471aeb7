//! UDP datagrams in which the UDP length and the IP length differ (RFC 768): the payload ends at the UDP length.

use super::*;

use tests::conversation::UdpConversation;
use tests::dtls::datagrams;
use tests::fragment::Fragments;
use tests::hello_builder::HelloMessageBuilder;
use tests::outer_layer::{Gre, OuterLayer, TunnelKind};
use tests::packets::Sender;
use tests::quic::{QuicEnds, crypto};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Returns a `DHCPv4` message without END, so that any bytes after it would be parsed as further options.
fn discover() -> Vec<u8> {
    let mut message = tests::dhcp::v4(1, MAC, &[(53, &[1]), (61, &[1, 2, 0, 0, 0, 0, 1]), (55, &[1, 3, 6])]);
    message.pop();
    message
}
const DISCOVER: &str = "disco0000nn_61-55_1-3-6";
/// Host name, END.
const SURPLUS_OPTION: &[u8] = &[12, 4, b'h', b'o', b's', b't', 255];

fn solicit() -> Vec<u8> {
    tests::dhcp::v6(1, [1, 2, 3], &[(1, &[7; 14]), (6, &[0, 23, 0, 24])])
}
const SOLICIT: &str = "solct0014nn_1-6_23-24";
/// Rapid commit.
const SURPLUS_OPTION6: &[u8] = &[0, 14, 0, 0];

fn dhcp4() -> UdpConversation {
    UdpConversation::between("0.0.0.0:68", "255.255.255.255:67")
}

fn dhcp6() -> UdpConversation {
    UdpConversation::between("[fe80::1]:546", "[ff02::1:2]:547")
}

fn tunnel(kind: TunnelKind) -> OuterLayer {
    OuterLayer::between("192.0.2.1", "192.0.2.2", kind)
}

/// Returns stacks of carriers: none, single ones, and tunnels in tunnels.
fn carriers() -> Vec<Vec<OuterLayer>> {
    let gtp = TunnelKind::GtpU { teid: 7, sequence: None, extensions: Vec::new() };
    let geneve = TunnelKind::Geneve { vni: 7, options: Vec::new(), ethernet: true };
    vec![
        Vec::new(),
        vec![tunnel(TunnelKind::Vxlan(7))],
        vec![tunnel(geneve.clone())],
        vec![tunnel(gtp.clone())],
        vec![tunnel(TunnelKind::Gre(Gre::default()))],
        vec![OuterLayer::Mpls(vec![16])],
        vec![tunnel(TunnelKind::Vxlan(7)), tunnel(geneve)],
        vec![tunnel(TunnelKind::Ip), tunnel(gtp), tunnel(TunnelKind::Vxlan(7))],
    ]
}

/// Returns type and value of every fingerprint, in output order.
fn printed(packets: &[TimedFrame]) -> Vec<(String, String)> {
    types_and_values(&replay_packets(packets, &[]))
}

fn one(kind: &str, value: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), value.to_owned())]
}

#[test]
fn options_after_the_datagram_are_ignored() {
    let envelopes = [
        Envelope::default(),
        Envelope { vlan: vec![5, 6], ..Envelope::default() },
        Envelope { extensions: vec![Extension::HopByHop], ..Envelope::default() },
    ];
    for (envelope, carriers) in envelopes.iter().flat_map(|envelope| carriers().into_iter().map(move |c| (envelope, c)))
    {
        let with = |conversation: UdpConversation, surplus: &[u8]| {
            conversation.inside(envelope.clone()).through(carriers.clone()).with_surplus(surplus)
        };
        let mut four = with(dhcp4(), SURPLUS_OPTION);
        four.client(&discover());
        assert_eq!(printed(four.packets()), one("ja4d", DISCOVER), "{envelope:?}, {carriers:?}");
        let mut six = with(dhcp6(), SURPLUS_OPTION6);
        six.client(&solicit());
        assert_eq!(printed(six.packets()), one("ja4d6", SOLICIT), "{envelope:?}, {carriers:?}");
    }
}

#[test]
fn options_after_a_reassembled_datagram_are_ignored() {
    for (mut conversation, message, value) in [
        (dhcp4().with_surplus(SURPLUS_OPTION), discover(), one("ja4d", DISCOVER)),
        (dhcp6().with_surplus(SURPLUS_OPTION6), solicit(), one("ja4d6", SOLICIT)),
    ] {
        conversation.client(&message);
        let whole = &conversation.packets()[0];
        let frames = Fragments::of(&whole.frame).pieces(2);
        let pieces: Vec<_> = frames.into_iter().map(|frame| TimedFrame { time: whole.time, frame }).collect();
        assert_eq!(printed(&pieces), value);
    }
}

#[test]
fn a_hello_after_the_datagram_is_ignored() {
    let hello = |name: &str| Shape::Go.client_hello(name, &mut SplitMix64::new(1));
    let initial = |number: u8, name: &str| {
        QuicEnds::new(&[number; 8], &[0x80 | number; 8]).initial(Sender::Client, 0, &crypto(0, &hello(name)))
    };
    let mut quic = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443").with_surplus(&initial(2, "other"));
    quic.client(&initial(1, "one.example"));
    assert_eq!(printed(quic.packets()), one("ja4", "q13d1311h2_f57a46bbacb6_8ae82214aac3"));

    let record = |random: u8| {
        let hello = HelloMessageBuilder::new(0xfefd, &[0xc02f]).random([random; 32]).extension(0x0017, &[]);
        datagrams(1, 0, &hello.dtls_client(&[]), usize::MAX).concat()
    };
    let mut dtls = UdpConversation::between("[fd00::1]:51234", "[fd00::2]:443").with_surplus(&record(2));
    dtls.client(&record(1));
    assert_eq!(printed(dtls.packets()).len(), 1);
}

/// Sets the UDP length of a frame without VLAN tags.
fn set_udp_length(packet: &mut TimedFrame, value: u16) {
    let at = if packet.frame[12] == 8 { 14 + 20 } else { 14 + 40 } + 4;
    packet.frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The payload of a tunnel ends with the tunnel's UDP datagram: a message that exceeds it is truncated.
#[test]
fn a_tunnel_ends_at_its_udp_length() {
    for carriers in carriers().into_iter().skip(1).take(3).chain([carriers().swap_remove(6)]) {
        let mut conversation = dhcp4().through(carriers.clone());
        conversation.client(&tests::dhcp::client_v4(1, MAC));
        let mut packet = conversation.packets()[0].clone();
        let value = printed(std::slice::from_ref(&packet));
        assert_eq!(value.len(), 1);
        // Bytes after the tunnel's UDP datagram have no effect.
        let length = u16::from_be_bytes([packet.frame[38], packet.frame[39]]);
        packet.frame.extend([9; 40]);
        let total = u16::from_be_bytes([packet.frame[16], packet.frame[17]]) + 40;
        packet.frame[16..18].copy_from_slice(&total.to_be_bytes());
        assert_eq!(printed(std::slice::from_ref(&packet)), value, "{carriers:?}");
        // END and some options exceed the tunnel's payload.
        set_udp_length(&mut packet, length - 20);
        let events = replay_packets(&[packet.clone()], &[]);
        assert_eq!(fingerprints(&events).len(), 0, "{carriers:?}");
        assert_eq!(stat(&events, &["shards", "malformed", "dhcp", "truncated"]), 1, "{carriers:?}");
        // The inner headers exceed it as well.
        set_udp_length(&mut packet, 8 + 8 + 20);
        let events = replay_packets(&[packet], &[]);
        assert_eq!(fingerprints(&events).len(), 0, "{carriers:?}");
        let unparseable = stat(&events, &["kernel", "unparseable_by", "tunnel_truncated"])
            + stat(&events, &["shards", "decap", "unparseable"]);
        assert_eq!(unparseable, 1, "{carriers:?}");
    }
}

fn stat(events: &[Value], path: &[&str]) -> u64 {
    events::stats_u64(events::of_type(events, "stats").pop().unwrap(), path)
}

/// Hosts drop these (Linux, `__udp4_lib_rcv` and `__udp6_lib_rcv`), so they are counted as unparseable and not read.
#[test]
fn a_length_that_no_host_accepts_is_malformed() {
    let mut four = dhcp4();
    four.client(&tests::dhcp::client_v4(1, MAC));
    let mut six = dhcp6();
    six.client(&solicit());
    for (conversation, lengths) in [(&four, &[0, 1, 7, 400, 0xffff][..]), (&six, &[1, 7, 400, 0xffff])] {
        for length in lengths {
            let mut packet = conversation.packets()[0].clone();
            set_udp_length(&mut packet, *length);
            let events = replay_packets(&[packet], &[]);
            assert_eq!(fingerprints(&events).len(), 0, "length {length}");
            assert_eq!(stat(&events, &["kernel", "unparseable_by", "udp_length"]), 1, "length {length}");
            assert_eq!(stat(&events, &["kernel", "seen"]), 1, "length {length}");
            assert_eq!(stat(&events, &["kernel", "unparseable"]), 1, "length {length}");
        }
    }
}

/// RFC 2675, section 4; Linux does the same without a jumbo payload option.
#[test]
fn an_ipv6_datagram_of_length_zero_is_as_long_as_its_ip_payload() {
    let mut conversation = dhcp6();
    conversation.client(&solicit());
    let mut packet = conversation.packets()[0].clone();
    set_udp_length(&mut packet, 0);
    assert_eq!(printed(&[packet]), one("ja4d6", SOLICIT));
}

/// A super-packet of more than 64 KiB: the IP length is 0, and the UDP length field is too small.
#[test]
fn a_datagram_too_long_for_the_length_field_extends_to_the_end_of_the_frame() {
    let hello = Shape::Go.client_hello("one.example", &mut SplitMix64::new(1));
    let ends = QuicEnds::new(&[1; 8], &[0x81; 8]);
    let mut conversation = UdpConversation::between("[fd00::1]:51234", "[fd00::2]:443");
    conversation.client(&ends.initial(Sender::Client, 0, &crypto(0, &hello)));
    for udp_length in [0, 1208] {
        let mut packet = conversation.packets()[0].clone();
        packet.frame.resize(70_000, 0);
        packet.frame[18..20].copy_from_slice(&[0, 0]);
        set_udp_length(&mut packet, udp_length);
        let events = replay_packets(&[packet], &[]);
        assert_eq!(values(&events, "ja4"), ["q13d1311h2_f57a46bbacb6_8ae82214aac3"], "UDP length {udp_length}");
        assert_eq!(stat(&events, &["kernel", "unparseable"]), 0);
    }
}
