//! Messages that never become whole: the stream ends, or is let go of, in their middle.

use super::engines::Engines;
use super::stats::CoreStats;
use super::stream::Reader;
use super::tls::Handshake;
use crate::conntrack::Budget;
use crate::conntrack::connection::{Carried, Connection, Dtls};
use crate::conntrack::stream::Stream;
use crate::model::{EventContext, EventHandler, Side};
use crate::protocol::quic::Entry;
use ja4::wire::tls::Carrier;
use ja4::wire::tls::HandshakeStream;

/// Counts all that a connection has left unfinished, before it is released, and tells of requests that wait
/// for one that never came.
pub(super) fn tell_unfinished(
    connection: &mut Connection,
    cause: EventContext,
    engines: &mut Engines,
    stats: &mut CoreStats,
    budget: &mut Budget,
    sink: &mut impl EventHandler,
) {
    Reader { side: Side::Client, cause, is_ssh: false, connection, engines, stats, sink }.read_held(budget);
    for side in [Side::Client, Side::Server] {
        tell_unfinished_stream(connection, side, cause, engines, stats, sink);
    }
    let mut datagrams = match std::mem::take(&mut connection.carried) {
        Carried::Datagrams(datagrams) => datagrams,
        other => return connection.carried = other,
    };
    stats.unfinished_messages += datagrams.quic.unfinished();
    for Entry { state, kept: quic } in datagrams.quic.iter_mut() {
        let Some(start) = state.under_way() else {
            continue;
        };
        connection.enter(&mut quic.session, state.client_is_high());
        let (side, methods) = (Side::Client, &mut engines.methods);
        Handshake { carrier: Carrier::Quic, side, cause, connection, methods, stats, sink }.unfinished(&start);
        connection.exchange(&mut quic.session);
    }
    for (dtls, client_is_high) in datagrams.dtls.iter_mut().zip([false, true]) {
        let Some(Dtls { association, session }) = dtls.as_deref_mut() else {
            continue;
        };
        stats.unfinished_messages += association.unfinished();
        let before = connection.client_is_high;
        connection.enter(session, client_is_high);
        association.tell_starts(|side, start| {
            let methods = &mut engines.methods;
            let handshake = Handshake { carrier: Carrier::Dtls, side, cause, connection, methods, stats, sink };
            handshake.unfinished(&start);
        });
        connection.leave(session, before);
    }
    if let Some(channel) = datagrams.openvpn.as_deref_mut() {
        stats.unfinished_messages += channel.unfinished();
        let before = connection.client_is_high;
        let mut session = std::mem::take(&mut channel.session);
        connection.enter(&mut session, channel.client_is_high());
        for (side, start) in channel.under_way() {
            let methods = &mut engines.methods;
            Handshake { carrier: Carrier::Tcp, side, cause, connection, methods, stats, sink }.unfinished(&start);
        }
        connection.leave(&mut session, before);
        channel.session = session;
    }
    connection.carried = Carried::Datagrams(datagrams);
}

/// Counts what one side's stream has left unfinished, before it is closed, and tells of the certificates
/// in it that are whole.
pub(super) fn tell_unfinished_stream(
    connection: &mut Connection,
    side: Side,
    cause: EventContext,
    engines: &mut Engines,
    stats: &mut CoreStats,
    sink: &mut impl EventHandler,
) {
    let Some(half) = connection.halves.get_mut(side as usize).and_then(Option::take) else {
        return;
    };
    stats.unfinished_messages += u64::from(half.is_unfinished());
    let tls = match &half.stream {
        Stream::Tls(tls) => Some(tls),
        Stream::Framed(framed) => Some(&framed.tls),
        _ => None,
    };
    if let Some(message) = tls.and_then(HandshakeStream::incomplete_message) {
        let methods = &mut engines.methods;
        Handshake { carrier: Carrier::Tcp, side, cause, connection, methods, stats, sink }.unfinished(&message);
    }
    if let Some(place) = connection.halves.get_mut(side as usize) {
        *place = Some(half);
    }
}
