//! The control channel of a flow, over UDP or framed in TCP.

use std::mem;
use std::ops::ControlFlow;

use ja4::wire::tls::Carrier;

use super::channel::{ControlChannel, ControlEvent, ControlOutcome};
use crate::conntrack::{AppState, Budget, Session};
use crate::model::EventHandler;
use crate::protocol::datagram::UdpDatagram;
use crate::protocol::datagram_protocol::DatagramProtocol;
use crate::protocol::packet_ctx::PacketCtx;
use crate::protocol::stats::MalformedProtocol;
use crate::protocol::tls::restart_handshake;

/// OpenVPN in a flow.
#[derive(Debug, Default)]
pub(crate) struct OpenVpnFlow {
    channel: Option<Box<ControlChannel>>,
}

impl DatagramProtocol for OpenVpnFlow {
    type Buffers = ();

    fn push<A: AppState, S: EventHandler>(
        &mut self,
        datagram: &UdpDatagram<'_>,
        (): &mut (),
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        // A truncated packet ends the stream: the packets after it would be parsed at wrong offsets.
        if datagram.is_truncated() {
            return;
        }
        let channel = self.channel.get_or_insert_default();
        let (side, packet) = match channel.packet(datagram.payload, datagram.from_high) {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => return cx.stats.count_malformed(MalformedProtocol::Tls, error),
        };
        let before = cx.connection.client_is_high;
        let mut session = mem::take(&mut channel.session);
        session.touch(datagram.time);
        cx.connection.activate(&mut session, channel.client_is_high());
        let outcome = channel.push(side, &packet, budget, |event| match event {
            ControlEvent::Restart => {
                // Resets without an answer may be forged: few of the hellos after them are emitted.
                if cx.connection.is_answered() {
                    restart_handshake(cx.connection);
                }
                ControlFlow::Continue(())
            }
            ControlEvent::Message(side, message) => cx.handshake(Carrier::Tcp, side).message(&message),
        });
        cx.connection.deactivate(&mut session, before);
        channel.session = session;
        let ControlOutcome { duplicate, refused, error } = outcome;
        cx.stats.duplicate_bytes += duplicate as u64;
        cx.stats.refused_bytes += refused as u64;
        if let Some(error) = error {
            cx.stats.count_malformed(MalformedProtocol::Tls, error);
        }
    }

    fn incomplete(&self) -> u64 {
        self.channel.iter().map(|channel| channel.incomplete()).sum()
    }

    fn finish<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>) {
        let Some(channel) = self.channel.as_deref_mut() else {
            return;
        };
        cx.stats.incomplete_messages += channel.incomplete();
        let before = cx.connection.client_is_high;
        let mut session = mem::take(&mut channel.session);
        cx.connection.activate(&mut session, channel.client_is_high());
        for (side, start) in channel.incomplete_messages() {
            cx.handshake(Carrier::Tcp, side).incomplete(&start);
        }
        cx.connection.deactivate(&mut session, before);
        channel.session = session;
    }

    fn drop_incomplete(&mut self, budget: &mut Budget) {
        self.clear(budget);
    }

    fn clear(&mut self, budget: &mut Budget) {
        self.channel.iter_mut().for_each(|channel| channel.clear(budget));
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.channel.iter().map(|channel| &channel.session)
    }

    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        self.channel.iter_mut().map(|channel| {
            let client_is_high = channel.client_is_high();
            (&mut channel.session, client_is_high)
        })
    }
}
