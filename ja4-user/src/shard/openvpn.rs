//! TLS in the control channel of OpenVPN.

use std::ops::ControlFlow;

use super::stage::Stage;
use super::stats::Protocol;
use super::tls::{Handshake, begin_anew, is_answered};
use crate::conntrack::connection::{Connection, Datagrams};
use crate::model::EventHandler;
use crate::protocol::openvpn::{ControlEvent, PacketOutcome};
use crate::protocol::quic::Datagram;
use ja4::wire::tls::Carrier;

impl<S: EventHandler> Stage<'_, S> {
    /// Reads a packet of a control channel: a datagram, or what follows a length in a TCP stream.
    pub(super) fn openvpn(&mut self, connection: &mut Connection, flow: &mut Datagrams, datagram: &Datagram<'_>) {
        // A cut packet ends the stream: the packets after it would be read at wrong offsets.
        if datagram.is_truncated() {
            return;
        }
        let channel = flow.openvpn.get_or_insert_default();
        let (side, packet) = match channel.packet(datagram.payload, datagram.from_high) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return self.stats.count_malformed(Protocol::Tls, error),
        };
        let before = connection.client_is_high;
        let mut session = std::mem::take(&mut channel.session);
        session.touch(datagram.time);
        connection.enter(&mut session, channel.client_is_high());
        let Stage { cause, budget, engines, stats, sink, .. } = self;
        let outcome = channel.take(side, &packet, budget, |given| match given {
            ControlEvent::Another => {
                // Resets without an answer may be forged: few of the hellos after them are emitted.
                if is_answered(connection) {
                    begin_anew(connection);
                }
                ControlFlow::Continue(())
            }
            ControlEvent::Message(side, message) => {
                let (carrier, cause, methods) = (Carrier::Tcp, *cause, &mut engines.methods);
                Handshake { carrier, side, cause, connection, methods, stats, sink: *sink }.message(&message)
            }
        });
        connection.leave(&mut session, before);
        channel.session = session;
        let PacketOutcome { duplicate, refused, error } = outcome;
        self.stats.duplicate_bytes += duplicate as u64;
        self.stats.refused_bytes += refused as u64;
        if let Some(error) = error {
            self.stats.count_malformed(Protocol::Tls, error);
        }
    }
}
