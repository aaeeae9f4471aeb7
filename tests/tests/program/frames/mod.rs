//! Unusual frames, by subject.

mod datagrams;
mod filters;
mod fragments;
mod framings;
mod headers;
mod http;
mod quic;
mod setting;
mod ssh;
mod streams;
mod tunnels;

use std::net::SocketAddr;

use tests::conversation::{LINUX_SYN_OPTIONS, TcpConversation};
use tests::fragment::Fragments;
use tests::hello::{self, Shape};
use tests::outer_layer::OuterLayer;
use tests::packets::{ACK, Envelope, Extension, PSH, SYN, TcpSegment};
use tests::random::SplitMix64;

pub(crate) use self::datagrams::dtls;
pub(crate) use self::filters::{EIGHT_TERMS, FILTERS, capture_filter};
use self::headers::{extended, ipv6_syn};
pub(crate) use self::http::METHODS;
pub(crate) use self::quic::{KNOWN_VERSIONS, OTHER_VERSIONS, initial, long, sized};
pub(crate) use self::setting::Setting;
pub(crate) use self::tunnels::{OTHER_PORTS, carriers, inner, other_tunnels};

/// Offset of the IP header.
const L3: usize = 14;

const V4: (&str, &str) = ("10.0.0.1:51234", "10.0.0.2:443");
const V6: (&str, &str) = ("[fd00::1]:51234", "[fd00::2]:443");

/// Name of a series of frames, and its frames.
pub(crate) type FrameSeries = (String, Vec<Vec<u8>>);

/// Returns a ClientHello in one record.
pub(crate) fn hello_record(shape: Shape) -> Vec<u8> {
    hello::records(&shape.client_hello("example.org", &mut SplitMix64::new(5)), usize::MAX)
}

/// Returns a client's segment over IPv4.
pub(crate) fn segment(seq: u32, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    between(V4, &Envelope::default(), seq, flags, options, payload)
}

/// Returns a segment from one address to another.
pub(crate) fn between(
    (from, to): (&str, &str),
    envelope: &Envelope,
    seq: u32,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut frame = Vec::new();
    TcpSegment { from, to, ttl: 64, seq, ack: 7, flags, window: 502, options, payload }.write(envelope, &mut frame);
    frame
}

/// Returns a SYN over IPv4.
pub(crate) fn syn() -> Vec<u8> {
    segment(0x1000_0000, SYN, LINUX_SYN_OPTIONS, &[])
}

/// Returns a ClientHello over IPv4, in one segment.
pub(crate) fn client_hello() -> Vec<u8> {
    segment(0x1000_0001, PSH | ACK, &[], &hello_record(Shape::Curl))
}

fn frames_of(conversation: &TcpConversation) -> Vec<Vec<u8>> {
    conversation.packets().iter().map(|packet| packet.frame.clone()).collect()
}

/// Returns a complete connection: handshake, both hellos, application data, FIN.
fn connection(ends: (&str, &str), envelope: Envelope) -> Vec<Vec<u8>> {
    let mut conversation = TcpConversation::between(ends.0, ends.1).inside(envelope);
    conversation.handshake().client(&hello_record(Shape::Curl)).server_ack();
    conversation.server(&hello::server_flight_13(&mut SplitMix64::new(6), 700)).client_ack();
    conversation.client(&[&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 40], &[9; 40]].concat());
    conversation.server(&[23, 3, 3, 0, 4, 1, 2, 3, 4]).client(&[23, 3, 3, 0, 2, 1, 2]).close();
    frames_of(&conversation)
}

/// Returns content after an Ethernet and an IPv4 header with this protocol number. The content is at least eight bytes.
fn raw(protocol: u8, content: &[u8]) -> Vec<u8> {
    let (first, rest) = content.split_at(8);
    let mut frame = Setting::default().datagram((0, 0), rest);
    frame[L3 + 9] = protocol;
    frame[L3 + 20..L3 + 28].copy_from_slice(first);
    frame
}

/// Returns the frames for tests that truncate at every length.
pub(crate) fn frames_to_truncate() -> Vec<Vec<u8>> {
    let chain = vec![Extension::HopByHop, Extension::Routing, Extension::Destination(3)];
    let mut frames = connection(V4, Envelope::default());
    frames.extend(connection(V6, Envelope { extensions: chain.clone(), ..Envelope::default() }));
    frames.extend(connection(V6, Envelope { vlan: vec![5, 6], extensions: chain }));
    frames.extend(connection(V4, Envelope { vlan: vec![5], ..Envelope::default() }));
    frames.extend(connection(V6, Envelope::default()));
    frames.push(extended(ipv6_syn(), 51, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    frames.push(extended(ipv6_syn(), 44, &[0, 0, 0, 0, 0, 0, 1]));
    for setting in [Setting::default(), Setting { six: true, ..Setting::default() }] {
        frames.push(setting.datagram((5000, 443), &initial()[..80]));
        frames.push(setting.datagram((5000, 443), &dtls(2)));
        frames.push(setting.datagram((68, 67), &[1; 20]));
        let syn = setting.segment((5000, 443), 1, SYN, &[]);
        frames.extend(carriers().iter().map(|carrier| carrier.wrap(&syn)));
        frames.extend(other_tunnels(&syn));
        frames.extend(Fragments::of(&syn).pieces(2));
        let double = [
            OuterLayer::Mpls(vec![16]),
            OuterLayer::between("192.0.2.1", "192.0.2.2", tests::outer_layer::TunnelKind::Ip),
        ];
        frames.push(OuterLayer::wrap_all(&double, double[1].wrap(&syn)));
    }
    frames
}

/// Returns all series of frames, in every setting.
pub(crate) fn all_series() -> Vec<FrameSeries> {
    series_in(&Setting::all())
}

/// What does not depend on the setting, and the rest in these.
pub(crate) fn series_in(settings: &[(&'static str, Setting)]) -> Vec<FrameSeries> {
    let mut all_series = vec![
        ("connections".to_owned(), frames_to_truncate()),
        ("extension headers".to_owned(), headers::extension_headers()),
        ("IPv4 headers".to_owned(), headers::ipv4_headers()),
        ("TCP headers".to_owned(), headers::tcp_headers()),
        ("VLAN tags".to_owned(), headers::tags()),
        ("SYNs and closes".to_owned(), streams::syns()),
        ("long frames".to_owned(), streams::long_frames()),
        ("packets in tunnels".to_owned(), tunnels::every_tunnel()),
        ("tunnels' headers".to_owned(), tunnels::header_values()),
        ("tunnels in tunnels".to_owned(), tunnels::nested()),
        ("fragments of all protocols".to_owned(), fragments::protocols()),
        ("fragments and tunnels".to_owned(), fragments::in_tunnels()),
    ];
    for (name, setting) in settings {
        let of_setting = [
            ("hellos in several segments", streams::pieces(setting)),
            ("hellos in dialogues", streams::dialogues(setting)),
            ("PROXY protocol", framings::proxy(setting)),
            ("TDS packets", framings::tds_packets(setting)),
            ("TURN messages", framings::turn_messages(setting)),
            ("control channels", framings::control_channels(setting)),
            ("datagrams in streams", framings::datagrams_in_streams(setting)),
            ("HTTP requests", http::requests(setting)),
            ("HTTP/2 prefaces", http::prefaces(setting)),
            ("HTTP methods", http::methods(setting)),
            ("SSH connections", ssh::connections(setting)),
            ("SSH segments", ssh::segments(setting)),
            ("QUIC long headers", quic::long_headers(setting)),
            ("QUIC connections", quic::connections(setting)),
            ("DTLS records", datagrams::dtls_records(setting)),
            ("DHCP", datagrams::dhcp(setting)),
            ("short datagrams", datagrams::short(setting)),
            ("UDP lengths", datagrams::lengths(setting)),
            ("fragments", fragments::pieces(setting)),
        ];
        all_series.extend(of_setting.map(|(series_name, frames)| (format!("{series_name}, {name}"), frames)));
    }
    all_series
}
