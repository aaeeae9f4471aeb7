//! The DTLS associations of a flow, bare or in TURN messages.

use ja4::wire::framing::turn::{self, TurnData};
use ja4::wire::tls::{Carrier, ClientHello};

use super::association::Association;
use super::direction::sender;
use super::outcome::{DtlsMessage, MessageVerdict};
use crate::conntrack::{AppState, Budget, Session};
use crate::model::{EventHandler, Side};
use crate::protocol::datagram::UdpDatagram;
use crate::protocol::datagram_protocol::DatagramProtocol;
use crate::protocol::packet_ctx::PacketCtx;
use crate::protocol::stats::MalformedProtocol;
use crate::protocol::tls::restart_handshake;

/// First and last of the first bytes of DTLS records (RFC 9147, section 4.1; RFC 7983, section 7).
const CHANGE_CIPHER_SPEC: u8 = 20;
const MAX_DTLS: u8 = 63;

/// DTLS in a flow: an association for each end as the client.
#[derive(Debug, Default)]
pub(crate) struct DtlsFlow {
    low_client: Option<Box<DtlsSession>>,
    high_client: Option<Box<DtlsSession>>,
}

/// An association and its handshake.
#[derive(Debug, Default)]
struct DtlsSession {
    association: Association,
    session: Session,
}

impl DtlsFlow {
    fn iter(&self) -> impl Iterator<Item = (&DtlsSession, bool)> {
        let both = [(self.low_client.as_deref(), false), (self.high_client.as_deref(), true)];
        both.into_iter().filter_map(|(dtls, high)| dtls.map(|dtls| (dtls, high)))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (&mut DtlsSession, bool)> {
        let both = [(self.low_client.as_deref_mut(), false), (self.high_client.as_deref_mut(), true)];
        both.into_iter().filter_map(|(dtls, high)| dtls.map(|dtls| (dtls, high)))
    }

    /// Whether the high end of the flow's key is the client of the more relevant association.
    fn likely_client(&self) -> Option<bool> {
        self.iter().max_by_key(|(dtls, _)| dtls.session.relevance()).map(|(_, high)| high)
    }

    /// Parses a DTLS datagram. One that either side may send is assigned to the more relevant association.
    ///
    /// A hello with another random begins an association only if the server has answered the last one. Otherwise it is a
    /// further hello, of which few are emitted: a sender of many hellos from forged addresses causes no more output than a
    /// client could.
    fn dtls<A: AppState, S: EventHandler>(
        &mut self,
        datagram: &UdpDatagram<'_>,
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        let truncated = datagram.is_truncated();
        let client_is_high = match sender(datagram.payload, truncated) {
            Some(Side::Client) => datagram.from_high,
            Some(Side::Server) => !datagram.from_high,
            None => self.likely_client().unwrap_or((cx.side == Side::Client) == datagram.from_high),
        };
        let from = datagram.sender(client_is_high);
        let dtls = if client_is_high { &mut self.high_client } else { &mut self.low_client };
        let DtlsSession { association, session } = &mut **dtls.get_or_insert_default();
        session.touch(datagram.time);
        let before = cx.connection.client_is_high;
        cx.connection.activate(session, client_is_high);
        let outcome = association.push(from, datagram.payload, truncated, budget, |side, part| {
            let message = match part {
                DtlsMessage::Candidate(message)
                    if cx.connection.is_answered() && ClientHello::parse(message.body, Carrier::Dtls).is_ok() =>
                {
                    return MessageVerdict::Begins;
                }
                DtlsMessage::First(message) => {
                    restart_handshake(cx.connection);
                    message
                }
                DtlsMessage::Incomplete(start) => {
                    cx.handshake(Carrier::Dtls, side).incomplete(&start);
                    return MessageVerdict::Parsed;
                }
                DtlsMessage::Complete(message) | DtlsMessage::Candidate(message) => message,
            };
            match cx.handshake(Carrier::Dtls, side).try_message(&message) {
                Err(_) => MessageVerdict::Malformed,
                Ok(_) => MessageVerdict::Parsed,
            }
        });
        cx.connection.deactivate(session, before);
        cx.stats.duplicate_bytes += outcome.duplicate as u64;
        cx.stats.conflicting_bytes += outcome.conflicting as u64;
        cx.stats.refused_bytes += (outcome.refused + outcome.dropped) as u64;
        if let Some(error) = outcome.error {
            cx.stats.count_malformed(MalformedProtocol::Dtls, error);
        }
    }
}

impl DatagramProtocol for DtlsFlow {
    type Buffers = ();

    fn push<A: AppState, S: EventHandler>(
        &mut self,
        datagram: &UdpDatagram<'_>,
        (): &mut (),
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        match datagram.payload.first() {
            Some(first) if turn::is_channel(*first) || *first < CHANGE_CIPHER_SPEC => {
                match turn::data(datagram.payload, datagram.is_truncated()) {
                    Ok(Some(TurnData { bytes: payload, length: wire_len })) => {
                        self.dtls(&UdpDatagram { payload, wire_len, ..*datagram }, budget, cx);
                    }
                    Ok(None) => {}
                    Err(error) => cx.stats.count_malformed(MalformedProtocol::Dtls, error),
                }
            }
            // Others are media and other data in a TCP stream.
            Some(CHANGE_CIPHER_SPEC..=MAX_DTLS) => self.dtls(datagram, budget, cx),
            _ => {}
        }
    }

    fn incomplete(&self) -> u64 {
        self.iter().map(|(dtls, _)| dtls.association.incomplete()).sum()
    }

    fn finish<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>) {
        for (DtlsSession { association, session }, client_is_high) in self.iter_mut() {
            cx.stats.incomplete_messages += association.incomplete();
            let before = cx.connection.client_is_high;
            cx.connection.activate(session, client_is_high);
            association.report_starts(|side, start| cx.handshake(Carrier::Dtls, side).incomplete(&start));
            cx.connection.deactivate(session, before);
        }
    }

    fn drop_incomplete(&mut self, budget: &mut Budget) {
        self.clear(budget);
    }

    fn clear(&mut self, budget: &mut Budget) {
        self.iter_mut().for_each(|(dtls, _)| dtls.association.clear(budget));
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.iter().map(|(dtls, _)| &dtls.session)
    }

    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        self.iter_mut().map(|(dtls, high)| (&mut dtls.session, high))
    }
}
