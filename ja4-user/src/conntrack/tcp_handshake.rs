//! What is remembered of a connection's opening until it has been told.

use crate::conntrack::latency::between;
use crate::model::{Hook, OptTime, Time};
use ja4::Retransmissions;
use ja4::wire::tcp::SynFields;

/// The handshake of a TCP connection: A, B and C of JA4L, and the SYN-ACKs of JA4TS. It is dropped once JA4TS was
/// emitted and C was seen or can no longer count. A SYN without an answer, of which there may be many, takes no more
/// memory.
#[derive(Debug, Default)]
pub struct Opening {
    /// Time of the first SYN.
    pub syn: OptTime,
    /// Time of the client's first ACK after the SYN-ACK.
    pub answered: OptTime,
    /// TTL of the first SYN.
    pub client_ttl: u8,
    /// SYN or SYN-ACK carried data (RFC 7413): the server may send more of it before the client's first ACK.
    pub early_data: bool,
    /// What the server has said.
    pub answer: Option<Box<Answer>>,
}

/// The SYN-ACKs of a server.
#[derive(Debug)]
pub struct Answer {
    /// Time of the first SYN-ACK.
    pub syn_ack: Time,
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

impl Answer {
    /// The first SYN-ACK.
    fn new(time: Time, ttl: u8, window: u16, options: &[u8]) -> Self {
        Self {
            syn_ack: time,
            ttl,
            hook: None,
            last: time,
            fields: SynFields::parse(window, options),
            retransmissions: Retransmissions::default(),
        }
    }
}

impl Opening {
    /// Notes a SYN.
    pub fn on_syn(&mut self, time: Time, ttl: u8) {
        if !self.syn.is_known() {
            (self.syn, self.client_ttl) = (time.into(), ttl);
        }
    }

    /// Notes a SYN-ACK and the hook that saw it.
    pub fn on_syn_ack(&mut self, time: Time, ttl: u8, window: u16, options: &[u8], hook: Option<Hook>) {
        let answer = match &mut self.answer {
            None => {
                let answer = self.answer.insert(Box::new(Answer::new(time, ttl, window, options)));
                if self.answered.is_known() {
                    answer.retransmissions.answered();
                }
                answer
            }
            Some(answer) => {
                answer.retransmissions.push(between(answer.last, time));
                answer.last = time;
                answer
            }
        };
        answer.hook = hook;
    }

    /// Notes the client's first ACK after the SYN-ACK.
    pub fn on_answer(&mut self, time: Time) {
        self.answered = time.into();
        if let Some(answer) = &mut self.answer {
            answer.retransmissions.answered();
        }
    }

    /// Whether data of the server does not show that the client has acknowledged the SYN-ACK.
    #[must_use]
    pub fn awaits_ack(&self) -> bool {
        self.early_data && !self.answered.is_known()
    }

    /// Notes a RST of the server.
    pub fn on_server_reset(&mut self, time: Time) {
        if let Some(answer) = &mut self.answer {
            answer.retransmissions.reset(between(answer.last, time));
        }
    }
}
