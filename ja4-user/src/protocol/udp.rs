//! The UDP stage: datagrams of a packet.

use std::mem;

use ja4_common::reason::RecordClass;
use ja4_common::record::{RecordHeader, flag};

use super::datagram::UdpDatagram;
use super::datagrams::Datagrams;
use super::packet_ctx::PacketCtx;
use super::protocol_state::ProtocolState;
use super::quic::QuicBuffers;
use crate::conntrack::Budget;
use crate::model::EventHandler;
use crate::packet::Decoded;

impl<S: EventHandler> PacketCtx<'_, ProtocolState, S> {
    /// Parses the datagrams of a packet: one, or those of a super-packet.
    pub(crate) fn datagrams(
        &mut self,
        header: &RecordHeader,
        decoded: &Decoded<'_>,
        quic: &mut QuicBuffers,
        budget: &mut Budget,
    ) {
        let size = match header.gso_size {
            0 => decoded.payload.len().max(1),
            size => usize::from(size),
        };
        let mut left = decoded.payload_len as usize;
        for payload in decoded.payload.chunks(size) {
            let wire_len = left.min(if header.gso_size == 0 { left } else { size });
            left -= wire_len;
            let datagram = UdpDatagram {
                payload,
                wire_len: wire_len.max(payload.len()),
                from_high: header.flags & flag::FROM_HIGH != 0,
                time: self.event.time,
                ttl: decoded.ttl,
            };
            if header.class == RecordClass::Dhcp as u8 {
                self.dhcp(&datagram);
            } else if Datagrams::has_class(header.class) {
                self.with_datagrams(|datagrams, cx| datagrams.push(header.class, &datagram, quic, budget, cx));
            }
        }
    }

    /// Calls `push` with the connection's state of datagram protocols, taken out of the connection meanwhile.
    pub(super) fn with_datagrams(&mut self, push: impl FnOnce(&mut Datagrams, &mut Self)) {
        let mut datagrams = match mem::take(&mut self.connection.app_state) {
            ProtocolState::Datagrams(datagrams) => datagrams,
            ProtocolState::Ssh(_) | ProtocolState::Undecided { .. } => Box::default(),
        };
        push(&mut datagrams, self);
        self.connection.app_state = ProtocolState::Datagrams(datagrams);
    }
}
