//! UDP: QUIC and DTLS handshakes, DHCP messages.

use std::time::Duration;

use ja4_common::reason::RecordClass;
use ja4_common::record::{RecordHeader, flag};

use super::stage::{FingerprintContext, Stage, tell};
use super::stats::Protocol;
use super::tls::{Handshake, begin_anew, is_answered};
use crate::conntrack::connection::{Carried, Connection, Datagrams, Dtls, Quic};
use crate::conntrack::latency::between;
use crate::model::{EventHandler, Side, Time};
use crate::packet::Decoded;
use crate::protocol::dtls::{self, Given, Taken};
use crate::protocol::quic::{self, Connections, Datagram, Entry, QuicState, Seen};
use ja4::Input;
use ja4::wire::framing::StreamFraming;
use ja4::wire::framing::turn::{self, TurnData};
use ja4::wire::quic::long_header_version;
use ja4::wire::tls::{Carrier, ClientHello};

/// First and last of the first bytes of DTLS records (RFC 9147, section 4.1; RFC 7983, section 7).
const CHANGE_CIPHER_SPEC: u8 = 20;
const MAX_DTLS: u8 = 63;

impl<S: EventHandler> Stage<'_, S> {
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
            let datagram = Datagram {
                payload,
                wire_len: wire_len.max(payload.len()),
                from_high: header.flags & flag::FROM_HIGH != 0,
                time: self.cause.time,
                ttl: decoded.ttl,
            };
            self.datagram(connection, header.class, &datagram);
        }
    }

    fn datagram(&mut self, connection: &mut Connection, class: u8, datagram: &Datagram<'_>) {
        const QUIC: u8 = RecordClass::Quic as u8;
        const DTLS: u8 = RecordClass::Dtls as u8;
        const DHCP: u8 = RecordClass::Dhcp as u8;
        const TLS: u8 = RecordClass::Tls as u8;
        match class {
            QUIC | DTLS | TLS => {
                let mut carried = match std::mem::take(&mut connection.carried) {
                    Carried::Datagrams(carried) => carried,
                    Carried::Ssh(_) | Carried::Nothing => Box::default(),
                };
                match class {
                    QUIC => self.quic(connection, &mut carried.quic, datagram),
                    TLS => self.openvpn(connection, &mut carried, datagram),
                    _ => self.unframe(connection, &mut carried, datagram),
                }
                connection.carried = Carried::Datagrams(carried);
            }
            DHCP => self.dhcp(connection, datagram),
            _ => {}
        }
    }

    /// Reads a datagram that a frame of a TCP stream carries.
    pub(super) fn datagram_in_stream(
        &mut self,
        connection: &mut Connection,
        framing: Option<StreamFraming>,
        payload: &[u8],
    ) {
        let mut carried = match std::mem::take(&mut connection.carried) {
            Carried::Datagrams(carried) => carried,
            Carried::Nothing => Box::default(),
            ssh @ Carried::Ssh(_) => return connection.carried = ssh,
        };
        let from_high = (self.side == Side::Client) == connection.client_is_high;
        let datagram = Datagram { payload, wire_len: payload.len(), from_high, time: self.cause.time, ttl: 0 };
        match framing {
            Some(StreamFraming::OpenVpn) => self.openvpn(connection, &mut carried, &datagram),
            _ => self.unframe(connection, &mut carried, &datagram),
        }
        connection.carried = Carried::Datagrams(carried);
    }

    /// Reads a datagram with DTLS, bare or in a TURN message.
    fn unframe(&mut self, connection: &mut Connection, flow: &mut Datagrams, datagram: &Datagram<'_>) {
        match datagram.payload.first() {
            Some(first) if turn::is_channel(*first) || *first < CHANGE_CIPHER_SPEC => {
                match turn::data(datagram.payload, datagram.is_truncated()) {
                    Ok(Some(TurnData { bytes: payload, length: wire_len })) => {
                        self.dtls(connection, flow, &Datagram { payload, wire_len, ..*datagram });
                    }
                    Ok(None) => {}
                    Err(error) => self.stats.count_malformed(Protocol::Dtls, error),
                }
            }
            // DTLS; in a TCP stream also media and other data.
            Some(CHANGE_CIPHER_SPEC..=MAX_DTLS) => self.dtls(connection, flow, datagram),
            _ => {}
        }
    }

    fn quic(&mut self, connection: &mut Connection, flow: &mut Connections<Quic>, datagram: &Datagram<'_>) {
        let Stage { cause, budget, engines, stats, sink, .. } = self;
        let (methods, engine) = (&mut engines.methods, &mut engines.quic);
        let seen = flow.datagram(engine, datagram, budget, |quic, given| {
            let quic::Given { side, message, version, surplus, client_is_high } = given;
            connection.enter(&mut quic.session, client_is_high);
            connection.attributes.quic.get_or_insert_default().version = version;
            connection.surplus = surplus;
            let handshake =
                Handshake { carrier: Carrier::Quic, side, cause: *cause, connection, methods, stats, sink: *sink };
            let flow = handshake.message(&message);
            connection.exchange(&mut quic.session);
            flow
        });
        stats.count_reassembly(&seen.crypto);
        stats.unfinished_messages += seen.given_up;
        for error in seen.errors() {
            stats.count_malformed(Protocol::Quic, error);
        }
        if let Some(Entry { state, kept: quic }) = seen.connection.and_then(|place| flow.get_mut(place)) {
            quic.session.touch(datagram.time);
            connection.enter(&mut quic.session, state.client_is_high());
            connection.attributes.quic.get_or_insert_default().version = state.version();
            if datagram.is_truncated()
                && let Some(start) = state.under_way()
            {
                // Its rest may have been cut off.
                let Stage { cause, engines, stats, sink, .. } = self;
                let (carrier, side, cause, methods) = (Carrier::Quic, Side::Client, *cause, &mut engines.methods);
                Handshake { carrier, side, cause, connection, methods, stats, sink: *sink }.unfinished(&start);
            }
            self.quic_points(connection, state, quic, &seen, datagram.ttl);
            connection.exchange(&mut quic.session);
        } else if datagram.is_truncated()
            && let Some(version) = long_header_version(datagram.payload)
        {
            // Too little was captured to tell whose it is, but not what it is.
            connection.attributes.quic.get_or_insert_default().version = version;
        }
    }

    /// A is the first client Initial, B the first server Initial, C the last server Handshake packet before
    /// D, the first client Handshake packet (specification, section 6).
    fn quic_points(&mut self, connection: &mut Connection, state: &QuicState, quic: &mut Quic, seen: &Seen, ttl: u8) {
        let now: Time = self.cause.time;
        let (asked, client_ttl) = state.asked();
        match seen.from {
            Some(Side::Client) => {
                let first = seen.handshake && !std::mem::replace(&mut quic.client_handshake, true);
                if let (true, Some(before)) = (first, quic.server_handshake) {
                    self.tell_quic_latency(connection, Side::Client, between(before, now), client_ttl);
                }
            }
            Some(Side::Server) => {
                if seen.initial && quic.answered.is_none() {
                    quic.answered = Some((now, ttl));
                    self.tell_quic_latency(connection, Side::Server, between(asked, now), ttl);
                }
                if seen.handshake {
                    quic.server_handshake = Some(now);
                }
            }
            None => {}
        }
    }

    /// JA4L or JA4LS, once a connection.
    fn tell_quic_latency(&mut self, connection: &mut Connection, side: Side, both_ways: Duration, ttl: u8) {
        let input = match side {
            Side::Client => Input::ClientLatency(both_ways, ttl),
            Side::Server => Input::ServerLatency(both_ways, ttl),
        };
        if connection.has_told(input.method()) || !input.method().is_available() {
            return;
        }
        match side {
            Side::Client => connection.latencies.on_client(both_ways),
            Side::Server => connection.latencies.on_server(both_ways),
        }
        let value = self.engines.methods.compute(input);
        tell(connection, value, side, self.cause, FingerprintContext::default(), self.sink);
    }

    /// Of a datagram that either side may send, an association that was answered is the likelier one.
    ///
    /// A hello with another random begins an association only where the server has answered the one before.
    /// Else it is a further hello, of which few are told: who sends one after the other from a forged address
    /// makes the sensor tell no more than a client could.
    fn dtls(&mut self, connection: &mut Connection, flow: &mut Datagrams, datagram: &Datagram<'_>) {
        let truncated = datagram.is_truncated();
        let as_met = (self.side == Side::Client) == datagram.from_high;
        let client_is_high = match dtls::sender(datagram.payload, truncated) {
            Some(Side::Client) => datagram.from_high,
            Some(Side::Server) => !datagram.from_high,
            None => flow.likely_dtls().unwrap_or(as_met),
        };
        let from = if client_is_high == datagram.from_high { Side::Client } else { Side::Server };
        let Some(dtls) = flow.dtls_of(client_is_high) else {
            return;
        };
        let Dtls { association, session } = &mut **dtls.get_or_insert_default();
        session.touch(datagram.time);
        let before = connection.client_is_high;
        connection.enter(session, client_is_high);
        let Stage { cause, budget, engines, stats, sink, .. } = self;
        let outcome = association.datagram(from, datagram.payload, truncated, budget, |side, given| {
            let message = match given {
                Given::Another(message)
                    if is_answered(connection) && ClientHello::parse(message.body, Carrier::Dtls).is_ok() =>
                {
                    return Taken::Begins;
                }
                Given::First(message) => {
                    begin_anew(connection);
                    message
                }
                Given::Message(message) | Given::Another(message) | Given::Start(message) => message,
            };
            let handshake = Handshake {
                carrier: Carrier::Dtls,
                side,
                cause: *cause,
                connection,
                methods: &mut engines.methods,
                stats,
                sink: *sink,
            };
            if let Given::Start(_) = given {
                handshake.unfinished(&message);
                return Taken::Read;
            }
            match handshake.read(&message) {
                Err(_) => Taken::Malformed,
                Ok(_) => Taken::Read,
            }
        });
        connection.leave(session, before);
        stats.duplicate_bytes += outcome.duplicate as u64;
        stats.conflicting_bytes += outcome.conflicting as u64;
        stats.refused_bytes += (outcome.refused + outcome.dropped) as u64;
        if let Some(error) = outcome.error {
            stats.count_malformed(Protocol::Dtls, error);
        }
    }
}
