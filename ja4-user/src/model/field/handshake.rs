//! The state of a connection's handshake at its end.

use crate::model::{ConnectionRecord, EndReason, Method, PerSide};

const TCP: u8 = 6;

/// Most packets of a client without a response: Linux sends a SYN 1 + `tcp_syn_retries` times, 7 by default (tcp(7)). A
/// client that sends more receives responses that this sensor does not see.
const MAX_SYNS: u64 = 8;

/// Most SYN-ACKs of a server without an acknowledgment: Linux sends 1 + `tcp_synack_retries`, 6 by default (tcp(7)), plus
/// two duplicates. A server that sends more receives acknowledgments.
const MAX_SYN_ACKS: u64 = 8;

/// Most packets of a connection that was reset before it carried data: three of the TCP handshake, the RST, and
/// duplicates.
const MAX_REFUSED: u64 = 8;

/// The state of a connection's handshake at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeState {
    /// The protocol has no handshake, the handshake was not seen, or the connection is open.
    None,
    /// TCP: the client sent only SYNs, the server nothing.
    SynOnly,
    /// TCP: the client never acknowledged the server's SYN-ACK.
    HalfOpen,
    /// A ClientHello over TCP, UDP or QUIC without a ServerHello, or a TCP connection that was reset before it carried data.
    Failed,
    /// A ServerHello was seen, or a TCP connection has packets of both endpoints.
    Done,
}

impl HandshakeState {
    /// Returns the state of the handshake of a connection that has ended.
    ///
    /// A sensor that sees one direction alone reports every handshake as failed, and none as half open.
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
        let PerSide { client, server } = record.packets;
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
        ConnectionRecord { ended: Some(ended), packets: packets.into(), ..example::record("10.0.0.1", "10.0.0.2", 443) }
    }

    fn with_hello(mut record: ConnectionRecord, cipher: Option<u16>) -> HandshakeState {
        record.attributes.tls = Some(CowArc::new(TlsAttributes { cipher, ..TlsAttributes::default() }));
        HandshakeState::of(&with(Method::Ja4, record))
    }

    fn with(method: Method, mut record: ConnectionRecord) -> ConnectionRecord {
        record.history.push(FingerprintRecord::example(method, "x"));
        record
    }

    #[test]
    fn tcp_handshakes_are_classified_by_packets_and_end_reason() {
        for (how, packets, expected) in [
            (EndReason::Idle, [1, 0], HandshakeState::SynOnly),
            (EndReason::Open, [7, 0], HandshakeState::SynOnly),
            // The server's packets take a path that the sensor does not see.
            (EndReason::Idle, [9, 0], HandshakeState::None),
            (EndReason::Idle, [0, 3], HandshakeState::None),
            // A closed port; a client that opens and resets; one that has talked.
            (EndReason::Rst, [1, 1], HandshakeState::Failed),
            (EndReason::Rst, [3, 1], HandshakeState::Failed),
            (EndReason::Rst, [20, 30], HandshakeState::Done),
            (EndReason::Fin, [3, 2], HandshakeState::Done),
        ] {
            assert_eq!(HandshakeState::of(&ended(how, packets)), expected, "{how:?} {packets:?}");
        }
        let mut request = ended(EndReason::Rst, [4, 3]);
        request.attributes.http = Some(CowArc::new(HttpAttributes::default()));
        assert_eq!(HandshakeState::of(&request), HandshakeState::Done, "it was reset after a request");
        let going_on = ConnectionRecord { ended: None, ..ended(EndReason::Rst, [1, 1]) };
        assert_eq!(HandshakeState::of(&going_on), HandshakeState::None);
    }

    #[test]
    fn a_syn_whose_answer_nobody_acknowledges_leaves_it_half_open() {
        let of = |how, packets| HandshakeState::of(&with(Method::Ja4t, ended(how, packets)));
        assert_eq!(of(EndReason::Idle, [1, 1]), HandshakeState::HalfOpen);
        assert_eq!(of(EndReason::Evicted, [1, 6]), HandshakeState::HalfOpen, "the server tries again and again");
        assert_eq!(of(EndReason::Open, [7, 7]), HandshakeState::HalfOpen, "both do");
        assert_eq!(of(EndReason::Idle, [1, 0]), HandshakeState::SynOnly);
        assert_eq!(of(EndReason::Rst, [2, 1]), HandshakeState::Failed, "a port scan takes the SYN back");
        assert_eq!(of(EndReason::Idle, [1, 9]), HandshakeState::Done, "the server talks");
        assert_eq!(of(EndReason::Idle, [9, 1]), HandshakeState::Done, "the client does");
        assert_eq!(of(EndReason::Idle, [0, 1]), HandshakeState::None, "the server's direction alone");
        assert_eq!(of(EndReason::Idle, [0, 0]), HandshakeState::None, "nothing is counted");
        // Met after its SYN; and with an acknowledgment.
        assert_eq!(HandshakeState::of(&ended(EndReason::Idle, [1, 1])), HandshakeState::Done);
        let acknowledged = with(Method::Ja4l, with(Method::Ja4t, ended(EndReason::Idle, [2, 1])));
        assert_eq!(HandshakeState::of(&acknowledged), HandshakeState::Done);
    }

    #[test]
    fn a_hello_wants_an_answer_over_any_transport() {
        assert_eq!(with_hello(ended(EndReason::Rst, [4, 3]), None), HandshakeState::Failed);
        assert_eq!(with_hello(ended(EndReason::Rst, [4, 3]), Some(0x1301)), HandshakeState::Done);
        let mut quic = ended(EndReason::Idle, [3, 0]);
        quic.identity.proto = 17;
        assert_eq!(HandshakeState::of(&quic), HandshakeState::None);
        assert_eq!(with_hello(quic, None), HandshakeState::Failed);
    }
}
