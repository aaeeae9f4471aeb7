//! Conversations over UDP.

use std::time::Duration;

use super::builder::Conversation;
use crate::datagram::Datagram;
use crate::packets::Sender;

/// Interval between two datagrams, unless a test waits longer.
const STEP: Duration = Duration::from_micros(50);

/// Builder of the packets of a UDP conversation.
pub type UdpConversation = Conversation<UdpState>;

/// Settings of a UDP conversation.
#[derive(Clone, Debug, Default)]
pub struct UdpState {
    surplus: Vec<u8>,
}

impl UdpConversation {
    /// TTL or hop limit of the client's and the server's packets.
    pub const TTL: [u8; 2] = [64, 57];

    /// Adds these bytes after each following datagram, see [`Datagram::write_with_surplus`].
    pub fn with_surplus(mut self, surplus: &[u8]) -> Self {
        self.state.surplus = surplus.to_vec();
        self
    }

    /// Adds a datagram from the client.
    pub fn client(&mut self, payload: &[u8]) -> &mut Self {
        self.datagram(Sender::Client, payload)
    }

    /// Adds a datagram from the server.
    pub fn server(&mut self, payload: &[u8]) -> &mut Self {
        self.datagram(Sender::Server, payload)
    }

    fn datagram(&mut self, sender: Sender, payload: &[u8]) -> &mut Self {
        let (from, to) = self.ends(sender);
        let datagram = Datagram { from, to, ttl: Self::TTL[sender as usize], payload };
        self.push(sender, |talk, envelope, frame| {
            datagram.write_with_surplus(envelope, &talk.state.surplus, frame);
        });
        self.wait(STEP)
    }
}
