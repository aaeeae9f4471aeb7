//! Flows of every fingerprinted protocol and of some others. Each flow is built completely at its start.
//!
//! | of 100 flows | content | packets |
//! |---|---|---|
//! | 35 | TLS 1.3, one ClientHello in five in two segments, 12 segments of data | 21 to 22 |
//! | 10 | TLS 1.2 with a chain of two certificates | 16 |
//! | 20 | QUIC, every second ClientHello in two Initials, 12 packets with short headers | 15 to 16 |
//! | 15 | HTTP/1.1, three requests | 18 |
//! | 3 | DTLS 1.2 with cookie and certificates, three datagrams of data | 10 |
//! | 2 | SSH, 300 segments and 100 bare ACKs after the key exchange | 413 |
//! | 5 | DHCP, two in five of these flows DHCPv6 | 4 |
//! | 10 | other UDP: DNS queries and responses, media | 2 to 40 |
//!
//! Approximate shares of packets: TLS 34 %, SSH 32 %, QUIC 12 %, HTTP 11 %, other UDP 8 %, DTLS and DHCP 2 %. One flow
//! in eight is IPv6, one in ten is inside a tunnel: VXLAN, Geneve, GRE, GTP-U and MPLS in turn.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use std::vec::IntoIter;

use super::{FULL_SEGMENT, HELLO_SEGMENT, NAMES, ends};
use crate::conversation::{TcpConversation, UdpConversation};
use crate::hello::{self, Shape};
use crate::outer_layer::{Gre, OuterLayer, TunnelKind};
use crate::packets::{Sender, TimedFrame};
use crate::quic::{self, QuicEnds};
use crate::random::SplitMix64;
use crate::{certificate, dhcp, dtls, http, ssh};

/// Maximum CRYPTO data of an Initial with an 8-byte connection ID in a datagram of 1200 bytes, bytes.
const CRYPTO: usize = 1150;

/// Remaining packets of a flow.
pub(super) struct PrebuiltFlow {
    packets: IntoIter<TimedFrame>,
}

impl PrebuiltFlow {
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut random = SplitMix64::for_item(seed, index);
        let (client, server) = ends(index, &mut random);
        let builder = FlowBuilder { client, server, layers: layers(index), random };
        Self { packets: builder.build(index).into_iter() }
    }

    /// Writes the next packet. Returns the delay until the packet after it, nanoseconds; `None` after the last one.
    pub(super) fn emit(&mut self, frame: &mut Vec<u8>) -> Option<u64> {
        let packet = self.packets.next()?;
        frame.extend_from_slice(&packet.frame);
        let next = self.packets.as_slice().first()?;
        Some(next.time.saturating_sub(packet.time).as_nanos() as u64)
    }
}

/// Returns the tunnels of a flow, outermost first.
fn layers(index: u64) -> Vec<OuterLayer> {
    let between = |kind| vec![OuterLayer::between("192.0.2.1", "192.0.2.2", kind)];
    match index % 50 {
        9 => between(TunnelKind::Vxlan(42)),
        19 => between(TunnelKind::Geneve { vni: 7, options: Vec::new(), ethernet: true }),
        29 => between(TunnelKind::Gre(Gre::default())),
        39 => between(TunnelKind::GtpU { teid: 9, sequence: None, extensions: Vec::new() }),
        49 => vec![OuterLayer::Mpls(vec![16, 17])],
        _ => Vec::new(),
    }
}

/// Builder of the packets of one flow.
struct FlowBuilder {
    client: SocketAddr,
    server: SocketAddr,
    layers: Vec<OuterLayer>,
    random: SplitMix64,
}

impl FlowBuilder {
    fn build(mut self, index: u64) -> Vec<TimedFrame> {
        match self.random.below(100) {
            0..35 => self.tls13(),
            35..45 => self.tls12(),
            45..65 => self.quic(),
            65..80 => self.http(),
            80..83 => self.dtls(),
            83..85 => self.ssh(),
            85..90 => self.dhcp(index),
            _ => self.other(),
        }
    }

    fn tcp(&mut self, port: u16) -> TcpConversation {
        let (client, server) = (self.client.to_string(), SocketAddr::new(self.server.ip(), port).to_string());
        let numbers = (self.random.next() as u32, self.random.next() as u32);
        let mut talk =
            TcpConversation::between(&client, &server).through(self.layers.clone()).numbered(numbers.0, numbers.1);
        talk.handshake();
        talk
    }

    fn udp(&self, client: SocketAddr, port: u16) -> UdpConversation {
        let server = SocketAddr::new(self.server.ip(), port).to_string();
        UdpConversation::between(&client.to_string(), &server).through(self.layers.clone())
    }

    /// Returns a random round-trip time of 2 to 40 ms.
    fn round_trip(&mut self) -> Duration {
        Duration::from_micros(self.random.between(2_000, 40_000))
    }

    fn name(&mut self) -> String {
        format!("www.site-{:04}.example", self.random.below(NAMES))
    }

    fn shape(&mut self) -> Shape {
        match self.random.below(10) {
            0..2 => Shape::PostQuantum,
            2..6 => Shape::Browser,
            6..8 => Shape::Curl,
            _ => Shape::Go,
        }
    }

    /// Returns an application data record of `size` bytes with its header, limited to one segment.
    fn data(&mut self, size: usize) -> Vec<u8> {
        let mut data = vec![0; size.clamp(6, FULL_SEGMENT)];
        self.random.fill(&mut data);
        let [high, low] = ((data.len() - 5) as u16).to_be_bytes();
        data[..5].copy_from_slice(&[23, 3, 3, high, low]);
        data
    }

    fn tls13(mut self) -> Vec<TimedFrame> {
        let (shape, name) = (self.shape(), self.name());
        let mut talk = self.tcp(443);
        let hello = hello::records(&shape.client_hello(&name, &mut self.random), usize::MAX);
        for piece in hello.chunks(HELLO_SEGMENT) {
            talk.client(piece);
        }
        talk.wait(self.round_trip()).server(&hello::server_flight_13(&mut self.random, 1200));
        talk.client(&[&[20, 3, 3, 0, 1, 1][..], &self.data(74)].concat());
        for number in 0..12 {
            if number % 4 == 0 {
                talk.wait(self.round_trip()).client(&self.data(120));
            } else {
                talk.server(&self.data(FULL_SEGMENT));
            }
        }
        talk.close().packets().to_vec()
    }

    fn tls12(mut self) -> Vec<TimedFrame> {
        let name = self.name();
        let mut talk = self.tcp(443);
        talk.client(&hello::records(&Shape::Curl.client_hello(&name, &mut self.random), usize::MAX));
        let chain = [certificate::leaf(&name).build(), certificate::authority().build()];
        let chain = certificate::message(&chain.each_ref().map(Vec::as_slice));
        let flight = [
            hello::server_hello_12(&mut self.random),
            handshake(11, &chain),
            handshake(12, &self.random.bytes::<296>()),
            handshake(14, &[]),
        ];
        talk.wait(self.round_trip());
        for piece in hello::records(&flight.concat(), usize::MAX).chunks(FULL_SEGMENT) {
            talk.server(piece);
        }
        let exchange = hello::records(&handshake(16, &self.random.bytes::<33>()), usize::MAX);
        talk.client(&[&exchange[..], &[20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 40], &[9; 40]].concat());
        talk.wait(self.round_trip()).server(&[&[20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 40][..], &[9; 40]].concat());
        talk.client(&self.data(200));
        for _ in 0..4 {
            talk.server(&self.data(FULL_SEGMENT));
        }
        talk.close().packets().to_vec()
    }

    fn quic(mut self) -> Vec<TimedFrame> {
        let shape = if self.random.below(2) == 0 { Shape::PostQuantum } else { Shape::Browser };
        let hello = shape.client_hello(&self.name(), &mut self.random);
        let ends = QuicEnds::new(&self.random.bytes::<8>(), &self.random.bytes::<8>());
        let mut talk = self.udp(self.client, 443);
        for (number, piece) in hello.chunks(CRYPTO).enumerate() {
            talk.client(&ends.initial(Sender::Client, number as u16, &quic::crypto(number * CRYPTO, piece)));
        }
        let answer = [quic::ack(0), quic::crypto(0, &hello::server_hello_13(&mut self.random))].concat();
        let initial = ends.initial(Sender::Server, 0, &answer);
        talk.wait(self.round_trip());
        talk.server(&[initial, ends.handshake(Sender::Server, 900, &mut self.random)].concat());
        talk.client(
            &[ends.later_initial(2, &quic::ack(0)), ends.handshake(Sender::Client, 80, &mut self.random)].concat(),
        );
        for number in 0..12 {
            if number % 4 == 0 {
                let packet = ends.short(Sender::Client, 60, &mut self.random);
                talk.wait(self.round_trip()).client(&packet);
            } else {
                talk.server(&ends.short(Sender::Server, 1200, &mut self.random));
            }
        }
        talk.packets().to_vec()
    }

    fn http(mut self) -> Vec<TimedFrame> {
        let name = self.name();
        let mut talk = self.tcp(80);
        for path in ["/", "/news?page=2", "/image/7"] {
            talk.client(&http::browser_request(&name, path, &mut self.random)).wait(self.round_trip());
            for piece in http::response(2600).chunks(FULL_SEGMENT) {
                talk.server(piece);
            }
            talk.client_ack();
        }
        talk.close().packets().to_vec()
    }

    fn dtls(mut self) -> Vec<TimedFrame> {
        let mut random = [0xfe_u8; 34];
        random[1] = 0xfd;
        self.random.fill(&mut random[2..]);
        let hello = |cookie: &[u8]| {
            let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x0a, 0xc0, 0x14, 0x00, 0xff];
            let extensions = [0, 10, 0, 4, 0, 2, 0, 29, 0, 11, 0, 2, 1, 0, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4, 0, 23, 0, 0];
            let mut body = [&random[..], &[0, cookie.len() as u8], cookie, &[0, suites.len() as u8], &suites].concat();
            body.extend_from_slice(&[1, 0, 0, extensions.len() as u8]);
            body.extend_from_slice(&extensions);
            body
        };
        let cookie = self.random.bytes::<20>();
        let mut talk = self.udp(self.client, 4433);
        send_all(&mut talk, true, dtls::datagrams(1, 0, &hello(&[]), 1200));
        let verify = [&[0xfe, 0xff, 20][..], &cookie].concat();
        talk.wait(self.round_trip());
        send_all(&mut talk, false, dtls::datagrams(3, 0, &verify, 1200));
        send_all(&mut talk, true, dtls::datagrams(1, 1, &hello(&cookie), 1200));
        let answer = [&random[..], &[0, 0xc0, 0x2b, 0, 0, 9, 0xff, 1, 0, 1, 0, 0, 23, 0, 0]].concat();
        let chain = certificate::message(&[&certificate::leaf(&self.name()).build()]);
        talk.wait(self.round_trip());
        send_all(&mut talk, false, dtls::datagrams(2, 1, &answer, 1200));
        send_all(&mut talk, false, dtls::datagrams(11, 2, &chain, 600));
        send_all(&mut talk, false, dtls::datagrams(14, 3, &[], 1200));
        for size in [100, 900, 400] {
            let data = self.data(size);
            talk.client(&dtls::record(23, 1, &data));
        }
        talk.packets().to_vec()
    }

    fn ssh(mut self) -> Vec<TimedFrame> {
        let mut talk = self.tcp(22);
        talk.client(ssh::BANNER).wait(self.round_trip()).server(ssh::BANNER);
        talk.client(&ssh::kex_init(&mut self.random)[..]).server(&ssh::kex_init(&mut self.random));
        talk.client(&[7; 1208]).server(&[8; 1564]).client_ack();
        // Half of the sessions are interactive, half are bulk transfers.
        let types = self.random.below(2) == 0;
        let packet = [0x5a; FULL_SEGMENT];
        for number in 0..300 {
            match (types, number % 3) {
                (true, 0) => talk.wait(self.round_trip()).client(&packet[..36]),
                (true, 1) => talk.wait(self.round_trip()).server(&packet[..36]),
                (true, _) => talk.server(&packet[..100]).client_ack(),
                (false, 2) => talk.client(&packet).server_ack(),
                (false, _) => talk.client(&packet),
            };
        }
        talk.close().packets().to_vec()
    }

    /// Builds two client messages and the server's replies. Each client has its own addresses, so no two share a flow.
    fn dhcp(mut self, index: u64) -> Vec<TimedFrame> {
        let [.., a, b, c, d] = index.to_be_bytes();
        let mac = [2, 0, a, b, c, d];
        let six = matches!(self.client.ip(), IpAddr::V6(_)) || self.random.below(10) < 3;
        // Unicast addresses, as a server sees them behind a relay.
        let (client, server, port): (IpAddr, IpAddr, _) = if six {
            let host = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let net = |net, (high, low)| Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, high, low).into();
            (net(0, host), net(1, (0, 1)), 546)
        } else {
            (Ipv4Addr::new(172, 16 + (b & 15), c, d).into(), Ipv4Addr::new(192, 0, 2, 1).into(), 68)
        };
        self.server.set_ip(server);
        let mut talk = self.udp(SocketAddr::new(client, port), if six { 547 } else { 67 });
        for (question, answer) in if six { [(1, 2), (3, 7)] } else { [(1, 2), (3, 5)] } {
            let (question, answer) = if six {
                (dhcp::client_v6(question, mac), dhcp::server_v6(answer, mac))
            } else {
                (dhcp::client_v4(question, mac), dhcp::server_v4(answer, mac))
            };
            talk.client(&question).wait(self.round_trip()).server(&answer);
        }
        talk.packets().to_vec()
    }

    /// Builds a DNS query with its response, or a media call.
    fn other(mut self) -> Vec<TimedFrame> {
        if self.random.below(2) == 0 {
            let mut talk = self.udp(self.client, 53);
            let [high, low] = self.random.bytes::<2>();
            let name = b"\x03www\x07example\x03org\0\0\x01\0\x01";
            let question = [&[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name].concat();
            let address = [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 80];
            let answer = [&[high, low, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..], name, &address].concat();
            talk.client(&question).wait(self.round_trip()).server(&answer);
            return talk.packets().to_vec();
        }
        let mut talk = self.udp(self.client, 5004);
        for _ in 0..20 {
            talk.wait(Duration::from_millis(2)).client(&[0x80; 172]).server(&[0x80; 172]);
        }
        talk.packets().to_vec()
    }
}

/// Encodes a TLS handshake message.
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

fn send_all(talk: &mut UdpConversation, from_client: bool, datagrams: Vec<Vec<u8>>) {
    for datagram in datagrams {
        if from_client {
            talk.client(&datagram)
        } else {
            talk.server(&datagram)
        };
    }
}
