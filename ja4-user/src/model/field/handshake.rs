//! How far a connection's handshake came.

use crate::model::{ConnectionRecord, EndReason, Method};

const TCP: u8 = 6;

/// Packets of a client whose SYN nobody answers, at most: Linux sends 1 + `tcp_syn_retries` of them, 7 by
/// default (tcp(7)). A client that sends more talks to somebody whom this sensor does not see.
const MAX_SYNS: u64 = 8;

/// SYN-ACKs of a server whose client never acknowledges, at most: Linux sends 1 + `tcp_synack_retries` of them, 6 by
/// default (tcp(7)); and room for two that were sent twice. A server that sends more is being answered.
const MAX_SYN_ACKS: u64 = 8;

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
    /// TCP: the server answered the client's SYN, and the client never acknowledged that.
    HalfOpen,
    /// A ClientHello, over TCP, UDP or QUIC, that no ServerHello answered; or a TCP connection reset before
    /// it carried anything.
    Failed,
    /// Both ends have shaken hands: a ServerHello, or a TCP connection with packets of both ends.
    Done,
}

impl Handshake {
    /// How far the handshake came of a connection that has ended.
    ///
    /// A sensor that sees one direction alone takes every handshake for failed. None is half open there: that takes
    /// the SYN of one end, and packets of the other.
    #[must_use]
    pub fn of(record: &ConnectionRecord) -> Self {
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
        let seen = |method| record.history.iter().any(|seen| seen.method == method);
        // The client's acknowledgment would have given its latency.
        let never_acknowledged = || seen(Method::Ja4t) && !seen(Method::Ja4l) && record.latency().client.is_none();
        match (client, server) {
            (1..=MAX_SYNS, 0) if silent => Self::SynOnly,
            (0, _) | (_, 0) => Self::None,
            _ if silent && ended == EndReason::Rst && client.saturating_add(server) <= MAX_REFUSED => Self::Failed,
            (1..=MAX_SYNS, 1..=MAX_SYN_ACKS) if silent && ended != EndReason::Fin && never_acknowledged() => {
                Self::HalfOpen
            }
            _ => Self::Done,
        }
    }

    /// The name in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SynOnly => "syn_only",
            Self::HalfOpen => "half_open",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CowArc, FingerprintRecord, HttpAttributes, TlsAttributes, example};

    /// A connection that ended so, with these packets.
    fn ended(ended: EndReason, packets: [u64; 2]) -> ConnectionRecord {
        ConnectionRecord { ended: Some(ended), packets, ..example::record("10.0.0.1", "10.0.0.2", 443) }
    }

    fn with_hello(mut record: ConnectionRecord, cipher: Option<u16>) -> Handshake {
        record.attributes.tls = Some(CowArc::new(TlsAttributes { cipher, ..TlsAttributes::default() }));
        Handshake::of(&with(Method::Ja4, record))
    }

    fn with(method: Method, mut record: ConnectionRecord) -> ConnectionRecord {
        record.history.push(FingerprintRecord::example(method, "x"));
        record
    }

    #[test]
    fn tcp_is_told_by_packets_and_its_end() {
        for (how, packets, expected) in [
            (EndReason::Idle, [1, 0], Handshake::SynOnly),
            (EndReason::Open, [7, 0], Handshake::SynOnly),
            // Somebody answers whom the sensor does not see.
            (EndReason::Idle, [9, 0], Handshake::None),
            (EndReason::Idle, [0, 3], Handshake::None),
            // A closed port; a client that opens and resets; one that has talked.
            (EndReason::Rst, [1, 1], Handshake::Failed),
            (EndReason::Rst, [3, 1], Handshake::Failed),
            (EndReason::Rst, [20, 30], Handshake::Done),
            (EndReason::Fin, [3, 2], Handshake::Done),
        ] {
            assert_eq!(Handshake::of(&ended(how, packets)), expected, "{how:?} {packets:?}");
        }
        let mut request = ended(EndReason::Rst, [4, 3]);
        request.attributes.http = Some(CowArc::new(HttpAttributes::default()));
        assert_eq!(Handshake::of(&request), Handshake::Done, "it was reset after a request");
        let going_on = ConnectionRecord { ended: None, ..ended(EndReason::Rst, [1, 1]) };
        assert_eq!(Handshake::of(&going_on), Handshake::None);
    }

    #[test]
    fn a_syn_whose_answer_nobody_acknowledges_leaves_it_half_open() {
        let of = |how, packets| Handshake::of(&with(Method::Ja4t, ended(how, packets)));
        assert_eq!(of(EndReason::Idle, [1, 1]), Handshake::HalfOpen);
        assert_eq!(of(EndReason::Evicted, [1, 6]), Handshake::HalfOpen, "the server tries again and again");
        assert_eq!(of(EndReason::Open, [7, 7]), Handshake::HalfOpen, "both do");
        assert_eq!(of(EndReason::Idle, [1, 0]), Handshake::SynOnly);
        assert_eq!(of(EndReason::Rst, [2, 1]), Handshake::Failed, "a port scan takes the SYN back");
        assert_eq!(of(EndReason::Idle, [1, 9]), Handshake::Done, "the server talks");
        assert_eq!(of(EndReason::Idle, [9, 1]), Handshake::Done, "the client does");
        assert_eq!(of(EndReason::Idle, [0, 1]), Handshake::None, "the server's direction alone");
        assert_eq!(of(EndReason::Idle, [0, 0]), Handshake::None, "nothing is counted");
        // Met after its SYN; and with an acknowledgment.
        assert_eq!(Handshake::of(&ended(EndReason::Idle, [1, 1])), Handshake::Done);
        let acknowledged = with(Method::Ja4l, with(Method::Ja4t, ended(EndReason::Idle, [2, 1])));
        assert_eq!(Handshake::of(&acknowledged), Handshake::Done);
    }

    #[test]
    fn a_hello_wants_an_answer_over_any_transport() {
        assert_eq!(with_hello(ended(EndReason::Rst, [4, 3]), None), Handshake::Failed);
        assert_eq!(with_hello(ended(EndReason::Rst, [4, 3]), Some(0x1301)), Handshake::Done);
        let mut quic = ended(EndReason::Idle, [3, 0]);
        quic.identity.proto = 17;
        assert_eq!(Handshake::of(&quic), Handshake::None);
        assert_eq!(with_hello(quic, None), Handshake::Failed);
    }
}
