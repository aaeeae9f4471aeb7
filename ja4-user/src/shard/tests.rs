//! What a shard keeps of its connections stays within its bounds.

use ::tests::conversation::TcpConversation;
use ::tests::handmade::Handmade;
use ::tests::hello;
use ::tests::random::SplitMix64;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;

use super::lane::{CapturedFrame, Lane};
use super::{Engines, Limits, Now};
use crate::model::{ConnectionEvent, EventHandler, FingerprintEvent, Method, Time};

/// Connections of the lane under test, and those that come.
const CONNECTIONS: usize = 500;

/// What these may keep together: 512 bytes each.
const BOUND: u64 = 512 * CONNECTIONS as u64;

/// What the connections of a lane have said by their end.
#[derive(Default)]
struct Ends {
    /// Bytes of server names, of names of protocols, of banners.
    texts: usize,
    named: usize,
    ja4: usize,
    ssh: usize,
    last: Option<bool>,
}

impl EventHandler for Ends {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>) {
        self.ja4 += usize::from(event.method == Method::Ja4);
        self.ssh += usize::from(event.method == Method::Ja4ssh);
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        let tls = event.attributes.tls.as_deref();
        let sni = tls.and_then(|tls| tls.sni.as_deref());
        self.named += usize::from(sni.is_some());
        self.last = Some(sni.is_some());
        self.texts += sni.map_or(0, str::len) + tls.map_or(0, |tls| tls.alpn.iter().map(|name| name.len()).sum());
        let banners = event.attributes.ssh.iter().flat_map(|ssh| ssh.banner.iter().flatten());
        self.texts += banners.map(String::len).sum::<usize>();
    }
}

/// Has [`CONNECTIONS`] told to a lane; gives the lane's figures before their end and after, and the ends.
fn flood(tell: impl Fn(&mut TcpConversation)) -> ([super::stats::CoreStats; 2], Ends) {
    flood_within(1 << 20, |talk, _| tell(talk))
}

/// The same with so much memory for what waits, and numbered.
fn flood_within(reassembly: usize, tell: impl Fn(&mut TcpConversation, usize)) -> ([super::stats::CoreStats; 2], Ends) {
    let limits = Limits { connections: CONNECTIONS, idle: u64::MAX, reassembly, ssh_window: Limits::SSH_WINDOW };
    let (mut lane, mut engines, mut ends) = (Lane::new(&limits), Engines::default(), Ends::default());
    let filter_config = FilterConfig::new([1, 2]);
    let mut number = 0;
    for client in 0..CONNECTIONS {
        let mut talk = TcpConversation::between(&format!("10.0.0.1:{}", 20_000 + client), "10.0.0.2:443");
        tell(talk.handshake(), client);
        for packet in talk.packets() {
            number += 1;
            let slice = SliceFrame { bytes: &packet.frame, wire_len: packet.frame.len() };
            let frame = CapturedFrame {
                start: ParseStart::Ethernet,
                slice,
                time: Time(number),
                interface: 0,
                point: 0,
                number,
            };
            lane.frame(&frame, &filter_config, &mut engines, &mut ends);
            assert!(lane.stats().attribute_bytes <= BOUND && lane.stats().held_bytes <= reassembly as u64);
        }
    }
    let before = lane.stats();
    lane.finish(Now { time: Time(number), packet: None }, &mut engines, &mut ends);
    ([before, lane.stats()], ends)
}

/// A ClientHello with a server name of 255 bytes and the protocols of `alpn`.
fn named(alpn: &[&[u8]]) -> Vec<u8> {
    let name = [&[b'n'; 255 - 4][..], b".org"].concat();
    let entry = [&[1, 2, 0, 0, 255][..], &name].concat();
    hello::records(&Handmade::new(0x0303, &[0x002f]).extension(0, &entry).alpn(alpn).client(), usize::MAX)
}

#[test]
fn texts_of_many_connections_stay_within_their_bound() {
    let short = named(&[b"h2"]);
    let ([before, after], ends) = flood(|talk| _ = talk.client(&short));
    assert_eq!((before.refused_attribute_bytes, ends.named), (0, CONNECTIONS));
    assert!(before.attribute_bytes >= (255 * CONNECTIONS) as u64);
    assert_eq!(after.attribute_bytes, 0);

    let long = named(&[&[b'p'; 16][..]; 16]);
    let ([before, after], ends) = flood(|talk| _ = talk.client(&long));
    assert!(ends.texts as u64 <= BOUND, "{} bytes are held", ends.texts);
    assert!(before.refused_attribute_bytes > 0 && before.attribute_bytes > BOUND / 2);
    assert!((CONNECTIONS / 4..CONNECTIONS).contains(&ends.named), "the first ones keep their names: {}", ends.named);
    assert_eq!((after.attribute_bytes, ends.last), (0, Some(false)));
}

#[test]
fn halves_of_messages_do_not_keep_the_room_of_those_that_come_later() {
    // All but a few begin a hello and never end it; room is for a tenth of them.
    let hello =
        hello::records(&hello::Shape::PostQuantum.client_hello("h.example", &mut SplitMix64::new(1)), usize::MAX);
    let (first, second) = hello.split_at(1400);
    let whole = |client: usize| client % 50 == 49;
    let ([before, after], ends) = flood_within(50 * 2000, |talk, client| {
        talk.client(first);
        if whole(client) {
            talk.client(second);
        }
    });
    assert_eq!(ends.ja4, (0..CONNECTIONS).filter(|client| whole(*client)).count());
    // The start of a hello has no value, but it names the server.
    assert_eq!(ends.named, CONNECTIONS);
    assert!(before.gave_way > CONNECTIONS as u64 / 2, "{}", before.gave_way);
    // The oldest gave way, each counted once as unfinished.
    assert_eq!((after.unfinished_messages, after.held_bytes), ((CONNECTIONS - ends.ja4) as u64, 0));
    assert_eq!(before.refused_bytes, 0);
}

#[cfg(feature = "ja4plus")]
mod ssh {
    use ::tests::packets::Packet;
    use ja4_common::reason::RecordClass;
    use ja4_common::record::{RecordHeader, flag};

    use super::*;
    use crate::packet;
    use crate::shard::core::Core;
    use crate::shard::flows::UserFlows;

    #[test]
    fn ssh_windows_of_many_connections_stay_within_their_bound() {
        let talk = |talk: &mut TcpConversation| {
            talk.client(b"SSH-2.0-x\r\n").server(b"SSH-2.0-y\r\n");
            for length in 1..100 {
                talk.client(&vec![0x5a; length]);
            }
        };
        let ([before, after], ends) = flood(talk);
        assert!(before.refused_attribute_bytes > 0 && before.attribute_bytes > BOUND / 2);
        // A window that there was no room for gives no value, one that there was gives its own.
        assert!((CONNECTIONS / 4..CONNECTIONS).contains(&ends.ssh), "{}", ends.ssh);
        assert_eq!(after.attribute_bytes, 0);
    }

    /// The JA4SSH values that are told.
    #[derive(Default)]
    struct Ja4ssh(Vec<String>);

    impl EventHandler for Ja4ssh {
        fn fingerprint(&mut self, event: &FingerprintEvent<'_>) {
            if event.method == Method::Ja4ssh {
                self.0.push(event.value.to_owned());
            }
        }

        fn connection(&mut self, _: &ConnectionEvent<'_>) {}
    }

    #[test]
    fn of_a_super_packet_that_comes_again_in_part_what_is_new_counts() {
        /// Ethernet, IPv4, TCP with timestamps.
        const HEADERS: u16 = 14 + 20 + 32;
        let mut talk = TcpConversation::between("10.0.0.1:50000", "10.0.0.2:22");
        // Segments of 100 bytes: three, the last two of them and a new one, all four.
        talk.client_at(0, &[1; 300]).client_at(100, &[1; 300]).client_at(0, &[1; 400]);
        let limits = Limits { connections: 1, idle: u64::MAX, reassembly: 1 << 20, ssh_window: Limits::SSH_WINDOW };
        let (mut core, mut lookup, mut engines) = (Core::new(&limits), UserFlows::with_capacity(1), Engines::default());
        let mut told = Ja4ssh::default();
        for Packet { frame, .. } in talk.packets() {
            let header = RecordHeader {
                class: RecordClass::Ssh as u8,
                flags: flag::FROM_CLIENT | flag::HEADERS_ONLY,
                l3: 14,
                l4: 14 + 20,
                payload: HEADERS,
                payload_len: frame.len() as u32 - u32::from(HEADERS),
                gso_size: 100,
                ..RecordHeader::default()
            };
            let packet = packet::Packet { header: &header, bytes: frame, interface: 0, number: None };
            core.packet(&packet, &mut lookup, &mut engines, &mut told);
        }
        core.finish(Now { time: Time(9), packet: None }, &mut lookup, &mut engines, &mut told);
        assert_eq!(told.0, ["c100s0_c4s0_c0s0"]);
    }
}

#[test]
fn flows_that_the_core_cannot_decode_do_not_stay_in_the_filter() {
    /// Ethernet, IPv4, TCP and the first four bytes of its options.
    const CUT: usize = 14 + 20 + 20 + 4;
    let limits =
        Limits { connections: CONNECTIONS, idle: u64::MAX, reassembly: 1 << 20, ssh_window: Limits::SSH_WINDOW };
    let (mut lane, mut engines, mut ends) = (Lane::new(&limits), Engines::default(), Ends::default());
    let filter_config = FilterConfig::new([1, 2]);
    for client in 0..CONNECTIONS as u64 {
        let mut talk = TcpConversation::between(&format!("10.0.0.1:{}", 20_000 + client), "10.0.0.2:443");
        let syn: Vec<u8> = talk.syn().packets().iter().flat_map(|packet| packet.frame.clone()).collect();
        let whole = client.is_multiple_of(10);
        let bytes = if whole { &*syn } else { syn.split_at(CUT).0 };
        let slice = SliceFrame { bytes, wire_len: syn.len() };
        let (time, number) = (Time(client), client + 1);
        let frame = CapturedFrame { start: ParseStart::Ethernet, slice, time, interface: 0, point: 0, number };
        lane.frame(&frame, &filter_config, &mut engines, &mut ends);
    }
    assert_eq!((lane.connections(), lane.flows()), (CONNECTIONS / 10, CONNECTIONS));
    lane.trim_flows();
    assert_eq!(lane.flows(), CONNECTIONS / 10, "those with a connection stay");
}
