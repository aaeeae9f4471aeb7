//! A connection's opening: JA4T at its SYN, JA4L and JA4LS at the client's first ACK, JA4TS once no
//! further SYN-ACK can come.

use ja4_common::verdict::LatencyPoint;

use super::engines::Engines;
use super::stage::Stage;
use crate::conntrack::connection::Connection;
use crate::model::{EventContext, EventHandler, Method, Side};
use crate::packet::{Decoded, Segment};

pub(super) use self::told::tell_ja4ts;
use self::told::{tell_ja4t, tell_latencies};

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

/// FoxIO License 1.1, see NOTICE.
#[cfg(feature = "ja4plus")]
mod told {
    use super::{Connection, Engines, EventContext, EventHandler, Method, Segment, Side};
    use crate::conntrack::latency::between;
    use crate::conntrack::tcp_handshake::Opening;
    use crate::shard::stage::{Values, tell};
    use ja4::fingerprint::ja4l;
    use ja4::fingerprint::ja4t::SynFields;

    /// JA4T of the first SYN.
    pub(in crate::shard) fn tell_ja4t(
        connection: &mut Connection,
        segment: &Segment<'_>,
        ttl: u8,
        cause: EventContext,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        if !connection.has_told(Method::Ja4t) {
            engines.methods.text.clear();
            SynFields::parse(segment.window, segment.options).write(&mut engines.methods.text);
            let values = Values { ttl: Some(ttl), ..Values::plain(&engines.methods.text) };
            tell(connection, Method::Ja4t, Side::Client, cause, values, None, sink);
        }
    }

    /// JA4L and JA4LS, at the client's first ACK.
    pub(in crate::shard) fn tell_latencies(
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
        if connection.has_told(Method::Ja4l) {
            return;
        }
        connection.latencies.on_client(between(b, cause.time));
        connection.latencies.on_server(between(a, b));
        engines.methods.text.clear();
        ja4l::write(between(b, cause.time), client_ttl, &mut engines.methods.text);
        tell(connection, Method::Ja4l, Side::Client, cause, Values::plain(&engines.methods.text), None, sink);
        engines.methods.text.clear();
        ja4l::write(between(a, b), server_ttl, &mut engines.methods.text);
        tell(connection, Method::Ja4ls, Side::Server, cause, Values::plain(&engines.methods.text), None, sink);
    }

    /// JA4TS, once no further SYN-ACK can come. Where the client's first ACK has not come yet, times and TTLs are kept
    /// for JA4L and JA4LS.
    pub(in crate::shard) fn tell_ja4ts(
        connection: &mut Connection,
        cause: EventContext,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        if connection.has_told(Method::Ja4ts) {
            return;
        }
        // Until then the SYN-ACK is still to come.
        let Some(Opening { syn, answered, answer: Some(answer), .. }) = &connection.opening else {
            return;
        };
        let keeps_opening = syn.is_known() && !answered.is_known();
        engines.methods.text.clear();
        answer.fields.write_with(&answer.retransmissions, &mut engines.methods.text);
        // It describes the SYN-ACK, whatever has made it final.
        let cause = EventContext { hook: answer.hook, ..cause };
        if !keeps_opening {
            connection.opening = None;
        }
        tell(connection, Method::Ja4ts, Side::Server, cause, Values::plain(&engines.methods.text), None, sink);
    }
}

/// JA4 alone: nothing is told of an opening.
#[cfg(not(feature = "ja4plus"))]
mod told {
    use super::{Connection, Engines, EventContext, EventHandler, Segment};

    pub(in crate::shard) fn tell_ja4t(
        _: &mut Connection,
        _: &Segment<'_>,
        _: u8,
        _: EventContext,
        _: &mut Engines,
        _: &mut impl EventHandler,
    ) {
    }

    pub(in crate::shard) fn tell_latencies(
        _: &mut Connection,
        _: EventContext,
        _: &mut Engines,
        _: &mut impl EventHandler,
    ) {
    }

    pub(in crate::shard) fn tell_ja4ts(
        connection: &mut Connection,
        _: EventContext,
        _: &mut Engines,
        _: &mut impl EventHandler,
    ) {
        connection.opening = None;
    }
}
