//! The endpoints, headers, clock and packets of a conversation, independent of the transport protocol.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::outer_layer::OuterLayer;
use crate::packets::{self, Envelope, Sender, TimedFrame};

/// 2026-11-23 07:00:00 UTC.
const EPOCH: Duration = Duration::from_secs(1_795_417_200);

/// Builder of the packets of a conversation between a client and a server. `T` is the state of the transport protocol.
#[derive(Clone, Debug)]
pub struct Conversation<T> {
    client: SocketAddr,
    server: SocketAddr,
    envelope: Envelope,
    layers: Vec<OuterLayer>,
    now: Duration,
    packets: Vec<TimedFrame>,
    pub(super) state: T,
}

impl<T: Default> Conversation<T> {
    /// Returns a conversation between two endpoints, `ip:port` or `[ip]:port`.
    ///
    /// # Panics
    /// If an endpoint cannot be parsed.
    pub fn between(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().expect("the client has an address with a port"),
            server: server.parse().expect("the server has an address with a port"),
            envelope: Envelope::default(),
            layers: Vec::new(),
            now: EPOCH,
            packets: Vec::new(),
            state: T::default(),
        }
    }
}

impl<T> Conversation<T> {
    /// Sets the VLAN tags and IP extension headers of all later packets.
    pub fn inside(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Sets the tunnels of all later packets, outermost first.
    pub fn through(mut self, layers: Vec<OuterLayer>) -> Self {
        self.layers = layers;
        self
    }

    /// Advances the clock.
    pub fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// Sets the clock to this time after `EPOCH`.
    pub fn at(&mut self, time: Duration) -> &mut Self {
        self.now = EPOCH + time;
        self
    }

    /// Returns the packets sent so far, in order.
    pub fn packets(&self) -> &[TimedFrame] {
        &self.packets
    }

    /// Writes the packets to the capture file `folder/name` and returns its path.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> PathBuf {
        packets::capture_file(folder, name, &self.packets)
    }

    /// Returns the source and the destination of a packet.
    pub(super) fn ends(&self, sender: Sender) -> (SocketAddr, SocketAddr) {
        match sender {
            Sender::Client => (self.client, self.server),
            Sender::Server => (self.server, self.client),
        }
    }

    /// Adds the packet that `write` appends to an empty buffer, in the tunnels of the conversation.
    pub(super) fn push(&mut self, sender: Sender, write: impl FnOnce(&Self, &Envelope, &mut Vec<u8>)) {
        let mut frame = Vec::new();
        write(self, &self.envelope, &mut frame);
        let frame = match sender {
            Sender::Client => OuterLayer::wrap_all(&self.layers, frame),
            Sender::Server => OuterLayer::wrap_all_reversed(&self.layers, frame),
        };
        self.packets.push(TimedFrame { time: self.now, frame });
    }
}
