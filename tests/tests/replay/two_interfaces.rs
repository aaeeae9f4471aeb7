//! A packet that is forwarded from one interface to another is met twice, and counts once, in fragments too.

use super::*;

use tests::dhcp;
use tests::dtls::datagrams;
use tests::fragment::Fragments;
use tests::udp::UdpConversation;

const CLIENT_HELLO: u8 = 1;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// A packet and the interface of the capture that met it.
type Met = (u32, Packet);

/// A pcapng block: type, total length, body, total length again.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (12 + body.len() as u32).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

/// The events of a pcapng file of two Ethernet interfaces.
fn replay_met(packets: &[Met]) -> Vec<Value> {
    let mut bytes = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    for _ in 0..2 {
        // Link type, snapshot length; times in nanoseconds.
        bytes.extend(block(1, &[1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
    }
    for (interface, Packet { time, frame }) in packets {
        let time = time.as_nanos() as u64;
        let fields = [*interface, (time >> 32) as u32, time as u32, frame.len() as u32, frame.len() as u32];
        let fields: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.extend(block(6, &[&fields[..], frame].concat()));
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("two.pcapng");
    fs::write(&file, bytes).unwrap();
    Sensor::new().run(&[OsStr::new("replay"), file.as_os_str()]).ok().events()
}

/// Each of these comes by interface 0 and leaves by 1, a hop later: one after the other, or all and then all again.
fn forwarded(frames: &[Packet], by_turns: bool) -> Vec<Met> {
    let mut met: Vec<_> = frames.iter().map(|packet| (0, packet.clone())).collect();
    let left = frames.iter().enumerate().map(|(number, packet)| {
        let mut packet = packet.clone();
        packet.time += Duration::from_micros(20);
        (if by_turns { 2 * number + 1 } else { frames.len() + number }, (1, packet))
    });
    for (at, packet) in left {
        met.insert(at, packet);
    }
    met
}

/// Every packet in this many fragments.
fn cut(packets: &[Packet], count: usize) -> Vec<Packet> {
    let pieces = |(number, packet): (usize, &Packet)| {
        let whole = Fragments::of(&packet.frame).numbered(number as u32 + 1);
        let time = packet.time;
        whole.pieces(count).into_iter().map(move |frame| Packet { time, frame })
    };
    packets.iter().enumerate().flat_map(pieces).collect()
}

/// A request of each kind that a DHCP client makes; each message is told, however often it was told before.
fn dhcp_requests() -> UdpConversation {
    let mut talk = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    talk.client(&dhcp::client_v4(1, MAC)).client(&dhcp::client_v4(3, MAC)).client(&dhcp::client_v4(7, MAC));
    talk
}

fn dtls_hello() -> UdpConversation {
    let hello = tests::handmade::Handmade::new(0xfefd, &[0xc02b]).extension(0x0017, &[]);
    let mut talk = UdpConversation::between("[2001:db8::1]:51234", "[2001:db8::2]:4433");
    talk.client(&datagrams(CLIENT_HELLO, 0, &hello.dtls_client(&[]), 1000)[0]);
    talk
}

/// The packets and bytes of a connection, each of both directions.
fn books(end: &Value) -> Value {
    let counts = ["pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient"].map(|name| {
        let count = &end["connection"][name];
        assert!(count.is_u64(), "no {name} in {end}");
        count.clone()
    });
    counts.to_vec().into()
}

/// Everything that is printed of connections but times.
fn told(events: &[Value]) -> Vec<(String, String, Value)> {
    let ends = events::of_type(events, "connection")
        .into_iter()
        .map(|event| (format!("{}", event["flow_id"]), "end".to_owned(), books(event)));
    let values = fingerprints(events).into_iter().map(|event| {
        let fingerprint = &event["fingerprint"];
        (format!("{}", event["flow_id"]), format!("{}", fingerprint["type"]), fingerprint["value"].clone())
    });
    let mut told: Vec<_> = values.chain(ends).collect();
    told.sort_by_key(|(flow, kind, value)| (flow.clone(), kind.clone(), value.to_string()));
    told
}

#[test]
fn what_is_forwarded_whole_is_told_once() {
    let talk = plain();
    let once: Vec<Met> = talk.packets().iter().map(|packet| (0, packet.clone())).collect();
    let events = replay_met(&forwarded(talk.packets(), true));
    assert_eq!(told(&events), told(&replay_met(&once)));
}

#[test]
fn what_is_forwarded_in_fragments_is_told_once() {
    for (talk, kind) in [(dhcp_requests(), "ja4d"), (dtls_hello(), "ja4")] {
        let packets = cut(talk.packets(), 2);
        let once = replay_met(&packets.iter().map(|packet| (0, packet.clone())).collect::<Vec<_>>());
        assert_eq!(values(&once, kind).len(), talk.packets().len(), "{kind}");
        for by_turns in [true, false] {
            let events = replay_met(&forwarded(&packets, by_turns));
            assert_eq!(told(&events), told(&once), "{kind}, by turns: {by_turns}");
            let last = *events::of_type(&events, "stats").last().unwrap();
            let count = |group, counter| tests::stats_u64(last, &["shards", group, counter]);
            let datagrams = talk.packets().len() as u64;
            assert_eq!(count("fragments", "completed"), 2 * datagrams, "at each place by itself");
            assert_eq!(count("fragments", "held"), 0);
            assert_eq!((count("unwrapped", "taken"), count("unwrapped", "copies")), (datagrams, datagrams));
        }
    }
}

#[test]
fn what_comes_whole_and_leaves_in_fragments_is_told_once() {
    let talk = dhcp_requests();
    let mut met: Vec<Met> = Vec::new();
    for (whole, pieces) in talk.packets().iter().zip(cut(talk.packets(), 3).chunks(3)) {
        met.push((0, whole.clone()));
        met.extend(pieces.iter().map(|piece| (1, piece.clone())));
    }
    assert_eq!(values(&replay_met(&met), "ja4d"), values(&replay_packets(talk.packets(), &[]), "ja4d"));
}

#[test]
fn fragments_of_two_interfaces_do_not_mix() {
    let talk = dhcp_requests();
    let packet = &talk.packets()[0];
    let whole = Fragments::of(&packet.frame);
    let pieces = whole.pieces(2);
    let noise = whole.forged(pieces[0].len() - 34, &vec![0xa5; whole.content().len() - (pieces[0].len() - 34)], false);
    let met = |interface, frame: &[u8]| (interface, Packet { time: packet.time, frame: frame.to_vec() });
    let events = replay_met(&[met(0, &pieces[0]), met(1, &noise), met(0, &pieces[1])]);
    assert_eq!(values(&events, "ja4d"), &values(&replay_packets(talk.packets(), &[]), "ja4d")[..1]);
}
