//! How far a connection's handshake came.

use crate::engine::record::Record;
use crate::event::{Ended, Method};

/// TCP and UDP.
const TCP: u8 = 6;

/// Packets of a client whose SYN nobody answers, at most: Linux sends 1 + `tcp_syn_retries` of them, 7 by
/// default (tcp(7)). A client that sends more talks to somebody whom this sensor does not see.
const MAX_SYNS: u64 = 8;

/// Packets of a connection that was opened and reset before it carried anything: three of the opening, the
/// RST, and room for what was sent twice.
const MAX_REFUSED: u64 = 8;

/// How far a connection's handshake came, as far as that can be told when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The protocol has none, or it was not seen: the connection was met later, or has not ended.
    None,
    /// TCP: the server sent nothing, and the client no more than SYNs.
    SynOnly,
    /// A ClientHello, over TCP, UDP or QUIC, that no ServerHello answered; or a TCP connection reset before
    /// it carried anything.
    Failed,
    /// Both ends have shaken hands: a ServerHello, or a TCP connection with packets of both ends.
    Done,
}

impl Handshake {
    /// How far the handshake came of a connection that has ended.
    ///
    /// A sensor that sees one direction alone takes every handshake for failed.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let Some(ended) = record.ended else {
            return Self::None;
        };
        if let Some(tls) = &record.attributes.tls {
            if tls.cipher.is_some() {
                return Self::Done;
            }
            let hello = record.history.iter().any(|seen| seen.method == Method::Ja4);
            return if hello { Self::Failed } else { Self::None };
        }
        let [client, server] = record.packets;
        if record.identity.proto != TCP {
            return Self::None;
        }
        let silent = record.protocol().is_none();
        match (client, server) {
            (1..=MAX_SYNS, 0) if silent => Self::SynOnly,
            (0, _) | (_, 0) => Self::None,
            _ if silent && ended == Ended::Rst && client.saturating_add(server) <= MAX_REFUSED => Self::Failed,
            _ => Self::Done,
        }
    }

    /// The name in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynOnly => "syn_only",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}
