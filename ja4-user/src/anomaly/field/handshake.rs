//! How far a connection's handshake came.

use crate::engine::record::Record;
use crate::event::{Ended, Method};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::example;
    use crate::engine::record::Seen;
    use crate::event::{Http, Shared, Side, Time, Tls};

    /// A connection that ended so, with these packets.
    fn ended(ended: Ended, packets: [u64; 2]) -> Record {
        Record { ended: Some(ended), packets, ..example::record("10.0.0.1", "10.0.0.2", 443) }
    }

    fn with_hello(mut record: Record, cipher: Option<u16>) -> Handshake {
        record.attributes.tls = Some(Shared::new(Tls { cipher, ..Tls::default() }));
        record.history.push(Seen {
            method: Method::Ja4,
            side: Side::Client,
            count: 1,
            value: "t13".into(),
            raw: None,
            time: Time(0),
            packet: None,
            first_seen: false,
            label: None,
            known_bad: None,
        });
        Handshake::of(&record)
    }

    #[test]
    fn tcp_is_told_by_packets_and_its_end() {
        for (how, packets, expected) in [
            (Ended::Idle, [1, 0], Handshake::SynOnly),
            (Ended::Open, [7, 0], Handshake::SynOnly),
            // Somebody answers whom the sensor does not see.
            (Ended::Idle, [9, 0], Handshake::None),
            (Ended::Idle, [0, 3], Handshake::None),
            // A closed port; a client that opens and resets; one that has talked.
            (Ended::Rst, [1, 1], Handshake::Failed),
            (Ended::Rst, [3, 1], Handshake::Failed),
            (Ended::Rst, [20, 30], Handshake::Done),
            (Ended::Fin, [3, 2], Handshake::Done),
        ] {
            assert_eq!(Handshake::of(&ended(how, packets)), expected, "{how:?} {packets:?}");
        }
        let mut request = ended(Ended::Rst, [4, 3]);
        request.attributes.http = Some(Shared::new(Http::default()));
        assert_eq!(Handshake::of(&request), Handshake::Done, "it was reset after a request");
        let going_on = Record { ended: None, ..ended(Ended::Rst, [1, 1]) };
        assert_eq!(Handshake::of(&going_on), Handshake::None);
    }

    #[test]
    fn a_hello_wants_an_answer_over_any_transport() {
        assert_eq!(with_hello(ended(Ended::Rst, [4, 3]), None), Handshake::Failed);
        assert_eq!(with_hello(ended(Ended::Rst, [4, 3]), Some(0x1301)), Handshake::Done);
        let mut quic = ended(Ended::Idle, [3, 0]);
        quic.identity.proto = 17;
        assert_eq!(Handshake::of(&quic), Handshake::None);
        assert_eq!(with_hello(quic, None), Handshake::Failed);
    }
}
