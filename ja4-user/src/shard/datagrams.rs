//! UDP: QUIC and DTLS handshakes, DHCP messages.

use std::ops::ControlFlow;
use std::time::Duration;

use ja4_common::record::RecordHeader;
use ja4_common::select::Class;

use super::stage::Stage;
#[cfg(feature = "ja4plus")]
use super::stage::{Values, tell};
use super::stats::Protocol;
use super::tls::{Handshake, begin_anew, is_answered};
#[cfg(feature = "ja4plus")]
use crate::event::Method;
use crate::event::{Side, Sink, Time};
use crate::fingerprint::Carrier;
#[cfg(feature = "ja4plus")]
use crate::fingerprint::ja4l;
use crate::flow::connection::{Carried, Connection, Quic};
use crate::flow::dtls::Taken;
use crate::flow::latency::between;
use crate::flow::quic::{self, Given, Seen};
use crate::packet::Decoded;
use crate::wire::WireError;
use crate::wire::tls::{ClientHello, Framing};

impl<S: Sink> Stage<'_, S> {
    /// Takes the datagrams of a record: one, or those of a super-packet.
    pub(super) fn datagrams(&mut self, connection: &mut Connection, header: &RecordHeader, decoded: &Decoded<'_>) {
        let each = match header.gso_size {
            0 => decoded.payload.len().max(1),
            size => usize::from(size),
        };
        let mut behind = decoded.payload_len as usize;
        for payload in decoded.payload.chunks(each) {
            let wire_len = behind.min(if header.gso_size == 0 { behind } else { each });
            behind -= wire_len;
            let datagram = Datagram { payload, wire_len: wire_len.max(payload.len()) };
            self.datagram(connection, header.class, decoded, datagram);
        }
    }

    fn datagram(&mut self, connection: &mut Connection, class: u8, decoded: &Decoded<'_>, datagram: Datagram<'_>) {
        const QUIC: u8 = Class::Quic as u8;
        const DTLS: u8 = Class::Dtls as u8;
        const DHCP: u8 = Class::Dhcp as u8;
        match class {
            QUIC => self.quic(connection, decoded, datagram),
            DTLS => self.dtls(connection, datagram),
            DHCP if datagram.payload.len() < datagram.wire_len => {
                // What is cut off may hold options: half a list would be another value.
                self.stats.count_malformed(Protocol::Dhcp, WireError::Truncated);
            }
            DHCP => self.dhcp(connection, datagram.payload),
            _ => {}
        }
    }

    fn quic(&mut self, connection: &mut Connection, decoded: &Decoded<'_>, datagram: Datagram<'_>) {
        let mut quic = match std::mem::take(&mut connection.carried) {
            Carried::Nothing => Box::default(),
            Carried::Quic(quic) => quic,
            // Nothing has come of it: a stray datagram does not decide what the flow carries.
            Carried::Dtls(mut association) if connection.attributes.tls.is_none() => {
                association.clear(self.budget);
                Box::default()
            }
            other => {
                self.stats.stray_segments += 1;
                return connection.carried = other;
            }
        };
        let Stage { side, cause, budget, engines, stats, sink, .. } = self;
        let (methods, engine) = (&mut engines.methods, &mut engines.quic);
        let Quic { state, answered, server_handshake } = &mut *quic;
        let taken = quic::Datagram {
            payload: datagram.payload,
            wire_len: datagram.wire_len,
            from: *side,
            time: cause.time,
            ttl: decoded.ttl,
        };
        let seen = state.datagram(engine, &taken, budget, |given| {
            let Given::Message(side, message) = given else {
                (*answered, *server_handshake) = (None, None);
                begin_anew(connection);
                return ControlFlow::Continue(());
            };
            let handshake =
                Handshake { carrier: Carrier::Quic, side, cause: *cause, connection, methods, stats, sink: *sink };
            handshake.message(&message)
        });
        stats.count_reassembly(&seen.crypto);
        for error in seen.errors() {
            stats.count_malformed(Protocol::Quic, error);
        }
        if let Some(version) = quic.state.version() {
            connection.attributes.quic.get_or_insert_default().version = version;
        }
        if seen.initial && (seen.from == Side::Client) != (decoded.src == connection.identity.client) {
            // The flow's first datagram came from the server.
            connection.turn_round();
        }
        self.quic_points(connection, &mut quic, &seen, decoded.ttl);
        connection.carried = Carried::Quic(quic);
    }

    /// A is the first client Initial, B the first server Initial, C the last server Handshake packet before
    /// D, the first client Handshake packet (specification, section 6).
    fn quic_points(&mut self, connection: &mut Connection, quic: &mut Quic, seen: &Seen, ttl: u8) {
        let now: Time = self.cause.time;
        match seen.from {
            Side::Client => {
                let points = (seen.handshake, quic.server_handshake, quic.state.asked());
                if let (true, Some(before), Some((_, ttl))) = points {
                    self.tell_quic_latency(connection, Side::Client, between(before, now), ttl);
                }
            }
            Side::Server => {
                if let (true, Some((asked, _))) = (seen.initial, quic.state.asked())
                    && quic.answered.is_none()
                {
                    quic.answered = Some((now, ttl));
                    self.tell_quic_latency(connection, Side::Server, between(asked, now), ttl);
                }
                if seen.handshake {
                    quic.server_handshake = Some(now);
                }
            }
        }
    }

    /// JA4L or JA4LS, once a connection.
    #[cfg(feature = "ja4plus")]
    fn tell_quic_latency(&mut self, connection: &mut Connection, side: Side, both_ways: Duration, ttl: u8) {
        let method = match side {
            Side::Client => Method::Ja4l,
            Side::Server => Method::Ja4ls,
        };
        if connection.has_told(method) {
            return;
        }
        match side {
            Side::Client => connection.latencies.on_client(both_ways),
            Side::Server => connection.latencies.on_server(both_ways),
        }
        let text = &mut self.engines.methods.text;
        text.clear();
        ja4l::write(both_ways, ttl, text);
        tell(connection, method, side, self.cause, Values::plain(text), None, self.sink);
    }

    /// JA4 alone: no latencies.
    #[cfg(not(feature = "ja4plus"))]
    fn tell_quic_latency(&mut self, _: &mut Connection, _: Side, _: Duration, _: u8) {}

    /// A hello with another random begins an association only where the server has answered the one before.
    /// Else it is a further hello, of which few are told: who sends one after the other from a forged address
    /// makes the sensor tell no more than a client could.
    fn dtls(&mut self, connection: &mut Connection, datagram: Datagram<'_>) {
        let mut association = match std::mem::take(&mut connection.carried) {
            Carried::Nothing => Box::default(),
            Carried::Dtls(association) => association,
            Carried::Quic(mut quic) if quic.state.version().is_none() => {
                quic.state.close(self.budget);
                Box::default()
            }
            other => {
                self.stats.stray_segments += 1;
                return connection.carried = other;
            }
        };
        let Stage { side, cause, budget, engines, stats, sink, .. } = self;
        let truncated = datagram.payload.len() < datagram.wire_len;
        let outcome = association.datagram(*side, datagram.payload, truncated, budget, |message, another| {
            let begins = another && is_answered(connection) && ClientHello::parse(message.body, Framing::Dtls).is_ok();
            if begins {
                begin_anew(connection);
            }
            let handshake = Handshake {
                carrier: Carrier::Dtls,
                side: *side,
                cause: *cause,
                connection,
                methods: &mut engines.methods,
                stats,
                sink: *sink,
            };
            match handshake.read(&message) {
                Err(_) => Taken::Malformed,
                Ok(_) if begins => Taken::Begins,
                Ok(_) => Taken::Read,
            }
        });
        stats.duplicate_bytes += outcome.duplicate as u64;
        stats.conflicting_bytes += outcome.conflicting as u64;
        stats.refused_bytes += (outcome.refused + outcome.dropped) as u64;
        if let Some(error) = outcome.error {
            stats.count_malformed(Protocol::Dtls, error);
        }
        connection.carried = Carried::Dtls(association);
    }
}

/// One datagram's payload.
#[derive(Clone, Copy)]
struct Datagram<'a> {
    /// As captured.
    payload: &'a [u8],
    /// Bytes on the wire.
    wire_len: usize,
}
