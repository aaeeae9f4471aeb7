//! The TCP handshake of a connection, until its fingerprints are emitted.

use super::latency::between;
use crate::model::{Hook, OptTime, Time};
use ja4::Retransmissions;
use ja4::wire::tcp::SynFields;

/// Points A, B and C of JA4L, and the SYN-ACKs of JA4TS. It is dropped once JA4TS was emitted and C was seen or can no
/// longer count. A SYN without an answer, of which there may be many, takes no more memory.
#[derive(Debug, Default)]
pub(crate) struct TcpHandshake {
    /// Time of the first SYN.
    pub syn: OptTime,
    /// Time of the client's first ACK after the SYN-ACK.
    pub first_ack: OptTime,
    /// TTL of the first SYN.
    pub client_ttl: u8,
    /// SYN or SYN-ACK carried data (RFC 7413): the server may send more of it before the client's first ACK.
    pub has_early_data: bool,
    /// The server's SYN-ACKs.
    pub syn_ack: Option<Box<SynAck>>,
}

/// The SYN-ACKs of a server.
#[derive(Debug)]
pub(crate) struct SynAck {
    /// Time of the first SYN-ACK.
    pub time: Time,
    /// TTL of the first SYN-ACK.
    pub ttl: u8,
    /// The hook that saw the last SYN-ACK.
    pub hook: Option<Hook>,
    /// Time of the last SYN-ACK.
    last: Time,
    /// Fields of the first SYN-ACK.
    pub fields: SynFields,
    /// SYN-ACKs after the first.
    pub retransmissions: Retransmissions,
}

impl SynAck {
    /// The first SYN-ACK.
    fn new(time: Time, ttl: u8, window: u16, options: &[u8]) -> Self {
        Self {
            time,
            ttl,
            hook: None,
            last: time,
            fields: SynFields::parse(window, options),
            retransmissions: Retransmissions::default(),
        }
    }
}

impl TcpHandshake {
    /// Records a SYN.
    pub(crate) fn on_syn(&mut self, time: Time, ttl: u8) {
        if !self.syn.is_known() {
            (self.syn, self.client_ttl) = (time.into(), ttl);
        }
    }

    /// Records a SYN-ACK and the hook that saw it.
    pub(crate) fn on_syn_ack(&mut self, time: Time, ttl: u8, window: u16, options: &[u8], hook: Option<Hook>) {
        let syn_ack = match &mut self.syn_ack {
            None => {
                let syn_ack = self.syn_ack.insert(Box::new(SynAck::new(time, ttl, window, options)));
                if self.first_ack.is_known() {
                    syn_ack.retransmissions.answered();
                }
                syn_ack
            }
            Some(syn_ack) => {
                syn_ack.retransmissions.push(between(syn_ack.last, time));
                syn_ack.last = time;
                syn_ack
            }
        };
        syn_ack.hook = hook;
    }

    /// Records the client's first ACK after the SYN-ACK.
    pub(crate) fn on_first_ack(&mut self, time: Time) {
        self.first_ack = time.into();
        if let Some(syn_ack) = &mut self.syn_ack {
            syn_ack.retransmissions.answered();
        }
    }

    /// Whether data of the server does not show that the client has acknowledged the SYN-ACK.
    #[must_use]
    pub(crate) fn awaits_ack(&self) -> bool {
        self.has_early_data && !self.first_ack.is_known()
    }

    /// Records a RST of the server.
    pub(crate) fn on_server_reset(&mut self, time: Time) {
        if let Some(syn_ack) = &mut self.syn_ack {
            syn_ack.retransmissions.reset(between(syn_ack.last, time));
        }
    }
}
