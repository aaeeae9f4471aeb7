//! A connection's opening: JA4T at its SYN, JA4L and JA4LS at the client's first ACK, JA4TS once no
//! further SYN-ACK can come.

use ja4_common::verdict::LatencyPoint;

use super::engines::Engines;
use super::stage::{FingerprintContext, Stage, tell};
use crate::conntrack::connection::Connection;
use crate::conntrack::latency::between;
use crate::conntrack::tcp_handshake::Opening;
use crate::model::{EventContext, EventHandler, Method, Side};
use crate::packet::{Decoded, Segment};
use ja4::Input;
use ja4::wire::tcp::SynFields;

/// Notes what a packet says of the connection's opening, and tells what it completes.
pub(super) fn observe_opening<S: EventHandler>(
    connection: &mut Connection,
    decoded: &Decoded<'_>,
    segment: &Segment<'_>,
    point: u8,
    stage: &mut Stage<'_, S>,
) {
    let Stage { side, cause, engines, sink, .. } = stage;
    let (side, cause) = (*side, *cause);
    if segment.syn() && !segment.rst() && !segment.fin() {
        if let Some(first) = connection.first_seq.get_mut(side as usize) {
            *first = Some(segment.seq.wrapping_add(1));
        }
        if side == Side::Client {
            connection.opening.get_or_insert_default().on_syn(cause.time, decoded.ttl);
            tell_ja4t(connection, segment, decoded.ttl, cause, engines, *sink);
        } else if !connection.has_told(Method::Ja4ts) {
            let opening = connection.opening.get_or_insert_default();
            opening.on_syn_ack(cause.time, decoded.ttl, segment.window, segment.options, cause.hook);
        }
        if let Some(opening) = &mut connection.opening {
            opening.early_data |= decoded.payload_len > 0;
        }
    }
    match LatencyPoint::from_number(point) {
        LatencyPoint::FirstAck => {
            if let Some(opening) = &mut connection.opening {
                opening.on_answer(cause.time);
                tell_latencies(connection, cause, engines, *sink);
                if connection.has_told(Method::Ja4ts) {
                    connection.opening = None;
                }
            }
        }
        LatencyPoint::ClientData => connection.latencies.on_asked(cause.time),
        LatencyPoint::ServerData => connection.latencies.on_answered(cause.time),
        LatencyPoint::ClientReply => connection.latencies.on_acted(cause.time),
        LatencyPoint::None => {}
    }
}

/// JA4T of the first SYN.
fn tell_ja4t(
    connection: &mut Connection,
    segment: &Segment<'_>,
    ttl: u8,
    cause: EventContext,
    engines: &mut Engines,
    sink: &mut impl EventHandler,
) {
    if !connection.has_told(Method::Ja4t) {
        let value = engines.methods.compute(Input::Syn(&SynFields::parse(segment.window, segment.options)));
        let context = FingerprintContext { ttl: Some(ttl), ..FingerprintContext::default() };
        tell(connection, value, Side::Client, cause, context, sink);
    }
}

/// JA4L and JA4LS, at the client's first ACK.
fn tell_latencies(
    connection: &mut Connection,
    cause: EventContext,
    engines: &mut Engines,
    sink: &mut impl EventHandler,
) {
    let Some(Opening { syn, client_ttl, answer: Some(answer), .. }) = &connection.opening else {
        return;
    };
    let (Some(a), b, client_ttl, server_ttl) = (syn.get(), answer.syn_ack, *client_ttl, answer.ttl) else {
        return;
    };
    if connection.has_told(Method::Ja4l) || !Method::Ja4l.is_available() {
        return;
    }
    let (to_client, to_server) = (between(b, cause.time), between(a, b));
    connection.latencies.on_client(to_client);
    connection.latencies.on_server(to_server);
    let value = engines.methods.compute(Input::ClientLatency(to_client, client_ttl));
    tell(connection, value, Side::Client, cause, FingerprintContext::default(), sink);
    let value = engines.methods.compute(Input::ServerLatency(to_server, server_ttl));
    tell(connection, value, Side::Server, cause, FingerprintContext::default(), sink);
}

/// JA4TS, once no further SYN-ACK can come. Where the client's first ACK has not come yet, times and TTLs are kept
/// for JA4L and JA4LS.
pub(super) fn tell_ja4ts(
    connection: &mut Connection,
    cause: EventContext,
    engines: &mut Engines,
    sink: &mut impl EventHandler,
) {
    if !Method::Ja4ts.is_available() {
        connection.opening = None;
    }
    if connection.has_told(Method::Ja4ts) {
        return;
    }
    // Until then the SYN-ACK is still to come.
    let Some(Opening { syn, answered, answer: Some(answer), .. }) = &connection.opening else {
        return;
    };
    let keeps_opening = syn.is_known() && !answered.is_known();
    let value = engines.methods.compute(Input::SynAck(&answer.fields, &answer.retransmissions));
    // It describes the SYN-ACK, whatever has made it final.
    let cause = EventContext { hook: answer.hook, ..cause };
    if !keeps_opening {
        connection.opening = None;
    }
    tell(connection, value, Side::Server, cause, FingerprintContext::default(), sink);
}
