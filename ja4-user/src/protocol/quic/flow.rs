//! The QUIC connections of a flow: messages, attributes, and JA4L.

use std::time::Duration;

use ja4::Input;
use ja4::wire::quic::long_header_version;
use ja4::wire::tls::Carrier;

use super::buffers::QuicBuffers;
use super::connections::{QuicConnections, QuicEntry};
use super::outcome::{QuicMessage, QuicOutcome};
use super::state::QuicState;
use crate::conntrack::latency::between;
use crate::conntrack::{AppState, Budget, Session};
use crate::model::{EventHandler, Side, Time};
use crate::protocol::datagram::UdpDatagram;
use crate::protocol::datagram_protocol::DatagramProtocol;
use crate::protocol::packet_ctx::PacketCtx;
use crate::protocol::stats::MalformedProtocol;

/// QUIC in a flow.
#[derive(Debug, Default)]
pub(crate) struct QuicFlow {
    connections: QuicConnections<QuicSession>,
}

/// A QUIC connection's handshake, and the points of its latencies. A is the time of the client's first Initial.
#[derive(Debug, Default)]
struct QuicSession {
    session: Session,
    /// Whether the server's first Initial, point B, was seen.
    has_server_initial: bool,
    /// Point C: time of the last server Handshake packet so far.
    server_handshake: Option<Time>,
    /// Whether the client's first Handshake packet, point D, was seen.
    has_client_handshake: bool,
}

impl DatagramProtocol for QuicFlow {
    type Buffers = QuicBuffers;

    fn push<A: AppState, S: EventHandler>(
        &mut self,
        datagram: &UdpDatagram<'_>,
        buffers: &mut QuicBuffers,
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        let outcome = self.connections.push(buffers, datagram, budget, |quic, message| {
            let QuicMessage { side, message, version, over_limit, client_is_high } = message;
            cx.connection.activate(&mut quic.session, client_is_high);
            cx.connection.record.attributes.quic.get_or_insert_default().version = version;
            cx.connection.over_limit = over_limit;
            let flow = cx.handshake(Carrier::Quic, side).message(&message);
            cx.connection.swap_session(&mut quic.session);
            flow
        });
        cx.stats.count_segment(&outcome.crypto);
        cx.stats.incomplete_messages += outcome.evicted_messages;
        for error in outcome.errors() {
            cx.stats.count_malformed(MalformedProtocol::Quic, error);
        }
        if let Some(QuicEntry { state, data: quic }) =
            outcome.connection.and_then(|index| self.connections.get_mut(index))
        {
            quic.session.touch(datagram.time);
            cx.connection.activate(&mut quic.session, state.client_is_high());
            cx.connection.record.attributes.quic.get_or_insert_default().version = state.version();
            if datagram.is_truncated()
                && let Some(start) = state.incomplete_message()
            {
                // The rest may have been truncated.
                cx.handshake(Carrier::Quic, Side::Client).incomplete(&start);
            }
            cx.quic_latencies(state, quic, &outcome, datagram.ttl);
            cx.connection.swap_session(&mut quic.session);
        } else if datagram.is_truncated()
            && let Some(version) = long_header_version(datagram.payload)
        {
            // Too few bytes were captured to find the connection, but enough for the version.
            cx.connection.record.attributes.quic.get_or_insert_default().version = version;
        }
    }

    fn incomplete(&self) -> u64 {
        self.connections.incomplete()
    }

    fn finish<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>) {
        cx.stats.incomplete_messages += self.connections.incomplete();
        for QuicEntry { state, data: quic } in self.connections.iter_mut() {
            let Some(start) = state.incomplete_message() else {
                continue;
            };
            cx.connection.activate(&mut quic.session, state.client_is_high());
            cx.handshake(Carrier::Quic, Side::Client).incomplete(&start);
            cx.connection.swap_session(&mut quic.session);
        }
    }

    fn drop_incomplete(&mut self, budget: &mut Budget) {
        self.connections.drop_incomplete(budget);
    }

    fn clear(&mut self, budget: &mut Budget) {
        self.connections.close(budget);
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.connections.iter().map(|entry| &entry.data.session)
    }

    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        self.connections.iter_mut().map(|entry| (&mut entry.data.session, entry.state.client_is_high()))
    }
}

impl<A: AppState, S: EventHandler> PacketCtx<'_, A, S> {
    /// Updates the points of JA4L and JA4LS: A is the client's first Initial, B the server's first Initial, C the server's last
    /// Handshake packet before D, the client's first Handshake packet (FoxIO, JA4L technical details).
    fn quic_latencies(&mut self, state: &QuicState, quic: &mut QuicSession, outcome: &QuicOutcome, ttl: u8) {
        let now = self.event.time;
        let (first_initial, client_ttl) = state.first_initial();
        match outcome.from {
            Some(Side::Client) => {
                let is_first = outcome.has_handshake && !std::mem::replace(&mut quic.has_client_handshake, true);
                if let (true, Some(before)) = (is_first, quic.server_handshake) {
                    self.emit_quic_latency(Side::Client, between(before, now), client_ttl);
                }
            }
            Some(Side::Server) => {
                if outcome.has_initial && !quic.has_server_initial {
                    quic.has_server_initial = true;
                    self.emit_quic_latency(Side::Server, between(first_initial, now), ttl);
                }
                if outcome.has_handshake {
                    quic.server_handshake = Some(now);
                }
            }
            None => {}
        }
    }

    /// Emits JA4L or JA4LS, once a connection.
    fn emit_quic_latency(&mut self, side: Side, round_trip: Duration, ttl: u8) {
        let input = match side {
            Side::Client => Input::ClientLatency(round_trip, ttl),
            Side::Server => Input::ServerLatency(round_trip, ttl),
        };
        if self.connection.already_emitted(input.method()) || !input.method().is_available() {
            return;
        }
        match side {
            Side::Client => self.connection.latencies.on_client(round_trip),
            Side::Server => self.connection.latencies.on_server(round_trip),
        }
        self.emit(side, input);
    }
}
