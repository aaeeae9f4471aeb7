//! What is remembered of a connection's opening until it has been told.

#[cfg(feature = "ja4plus")]
use super::latency::between;
use crate::event::{Hook, Time};
#[cfg(feature = "ja4plus")]
use crate::fingerprint::ja4t::{Retransmissions, SynFields};

/// The opening of a TCP connection: A, B and C of JA4L, and the SYN-ACKs of JA4TS. It is boxed while
/// the opening lasts and dropped when JA4TS has been told.
#[derive(Debug, Default)]
pub struct Opening {
    /// Time of the first SYN.
    pub syn: Option<Time>,
    /// TTL of the first SYN.
    pub client_ttl: u8,
    /// Time of the first SYN-ACK.
    pub syn_ack: Option<Time>,
    /// TTL of the first SYN-ACK.
    pub server_ttl: u8,
    /// The hook that saw the SYN-ACK.
    pub hook: Option<Hook>,
    /// Time of the last SYN-ACK.
    pub last_syn_ack: Option<Time>,
    /// Time of the client's first ACK after the SYN-ACK.
    pub answered: Option<Time>,
    /// Fields of the first SYN-ACK.
    #[cfg(feature = "ja4plus")]
    pub fields: Option<SynFields>,
    /// SYN-ACKs after the first.
    #[cfg(feature = "ja4plus")]
    pub retransmissions: Retransmissions,
}

impl Opening {
    /// Notes a SYN.
    pub fn on_syn(&mut self, time: Time, ttl: u8) {
        if self.syn.is_none() {
            (self.syn, self.client_ttl) = (Some(time), ttl);
        }
    }

    /// Notes a SYN-ACK.
    pub fn on_syn_ack(&mut self, time: Time, ttl: u8, _window: u16, _options: &[u8]) {
        if self.syn_ack.is_none() {
            (self.syn_ack, self.server_ttl) = (Some(time), ttl);
            #[cfg(feature = "ja4plus")]
            {
                self.fields = Some(SynFields::parse(_window, _options));
            }
        } else if let Some(_last) = self.last_syn_ack {
            #[cfg(feature = "ja4plus")]
            self.retransmissions.push(between(_last, time));
        }
        self.last_syn_ack = Some(time);
    }

    /// Notes the client's first ACK after the SYN-ACK.
    pub fn on_answer(&mut self, time: Time) {
        self.answered = Some(time);
        #[cfg(feature = "ja4plus")]
        self.retransmissions.answered();
    }

    /// Notes a RST of the server.
    pub fn on_server_reset(&mut self, _time: Time) {
        #[cfg(feature = "ja4plus")]
        if let Some(last) = self.last_syn_ack {
            self.retransmissions.reset(between(last, _time));
        }
    }
}
