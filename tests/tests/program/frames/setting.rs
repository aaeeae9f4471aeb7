//! Endpoints, encapsulation, and consecutive connections between the endpoints.

use std::net::SocketAddr;

use tests::conversation::TcpConversation;
use tests::datagram::Datagram;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::packets::{Envelope, Extension, TcpSegment};

/// Two hosts, and the encapsulation of their packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// Whether the hosts use IPv6.
    pub(crate) six: bool,
    pub(crate) envelope: Envelope,
    pub(crate) carriers: Vec<OuterLayer>,
}

impl Setting {
    /// Returns all settings for the series of frames, by name.
    pub(crate) fn all() -> Vec<(&'static str, Self)> {
        let tagged = |vlan: &[u16]| Envelope { vlan: vlan.to_vec(), ..Envelope::default() };
        let extended = Envelope { vlan: vec![5, 6], extensions: vec![Extension::HopByHop, Extension::Destination(2)] };
        let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(77));
        let plain = Self::default();
        vec![
            ("IPv4", plain.clone()),
            ("IPv6", Self { six: true, ..plain.clone() }),
            ("IPv4, tagged", Self { envelope: tagged(&[100]), ..plain.clone() }),
            ("IPv6, tagged twice, extension headers", Self { six: true, envelope: extended, ..plain.clone() }),
            ("IPv4 in VXLAN, tagged inside", Self { envelope: tagged(&[7]), carriers: vec![tunnel], ..plain }),
        ]
    }

    /// Returns the addresses of client and server with these ports.
    pub(crate) fn ends(&self, (client, server): (u16, u16)) -> (SocketAddr, SocketAddr) {
        let (from, to) = if self.six { ("fd00::1", "fd00::2") } else { ("10.0.0.1", "10.0.0.2") };
        (SocketAddr::new(from.parse().unwrap(), client), SocketAddr::new(to.parse().unwrap(), server))
    }

    /// Returns a client's segment.
    pub(crate) fn segment(&self, ports: (u16, u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(ports);
        let mut frame = Vec::new();
        let segment = TcpSegment { from, to, ttl: 64, seq, ack: 7, flags, window: 502, options: &[], payload };
        segment.write(&self.envelope, &mut frame);
        OuterLayer::wrap_all(&self.carriers, frame)
    }

    /// Returns a client's datagram.
    pub(crate) fn datagram(&self, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let (from, to) = self.ends(ports);
        self.between((from, to), payload)
    }

    /// Returns a server's datagram.
    pub(crate) fn reply(&self, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let (to, from) = self.ends(ports);
        self.between((from, to), payload)
    }

    fn between(&self, (from, to): (SocketAddr, SocketAddr), payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        Datagram { from, to, ttl: 64, payload }.write(&self.envelope, &mut frame);
        OuterLayer::wrap_all(&self.carriers, frame)
    }
}

/// Consecutive connections between the same two hosts, each with its own sequence numbers.
pub(super) struct ConnectionSeries {
    setting: Setting,
    ports: (u16, u16),
    isn: u32,
    pub(super) frames: Vec<Vec<u8>>,
}

impl ConnectionSeries {
    pub(super) fn new(setting: &Setting, ports: (u16, u16)) -> Self {
        Self { setting: setting.clone(), ports, isn: 1, frames: Vec::new() }
    }

    fn next(&mut self) -> TcpConversation {
        let (client, server) = self.setting.ends(self.ports);
        let Setting { envelope, carriers, .. } = self.setting.clone();
        let isn = self.isn;
        self.isn = isn.wrapping_add(0x0fff_ff00);
        let conversation = TcpConversation::between(&client.to_string(), &server.to_string());
        conversation.inside(envelope).through(carriers).numbered(isn, isn ^ 0x5555_0000)
    }

    fn append(&mut self, conversation: &TcpConversation) {
        self.frames.extend(conversation.packets().iter().map(|packet| packet.frame.clone()));
    }

    /// Appends a connection from its SYN to its close.
    pub(super) fn add_connection(
        &mut self,
        send: impl for<'a> FnOnce(&'a mut TcpConversation) -> &'a mut TcpConversation,
    ) {
        let mut conversation = self.next();
        conversation.handshake();
        send(&mut conversation).client(&[23, 3, 3, 0, 2, 1, 2]).close();
        self.append(&conversation);
    }

    /// Appends a part of an unknown connection, without its handshake.
    pub(super) fn add_midstream(
        &mut self,
        send: impl for<'a> FnOnce(&'a mut TcpConversation) -> &'a mut TcpConversation,
    ) {
        self.ports.0 = self.ports.0.wrapping_add(1);
        let mut conversation = self.next();
        send(&mut conversation);
        self.append(&conversation);
    }

    /// Appends one segment of an unknown connection, without its handshake.
    pub(super) fn add_segment(&mut self, payload: &[u8]) {
        self.add_midstream(|conversation| conversation.client(payload));
    }
}
