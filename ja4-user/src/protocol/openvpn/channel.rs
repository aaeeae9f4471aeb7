//! Both directions of a control channel, and the TLS streams in them.

use std::ops::ControlFlow;

use crate::conntrack::{Budget, Session};
use crate::model::Side;
use ja4::wire::WireError;
use ja4::wire::framing::openvpn::{self, CLIENT_HELLO, ControlOpcode, ControlPacket, SERVER_HELLO};
use ja4::wire::tls::{HandshakeMessage, HandshakeStatus, HandshakeStream};

/// Most packets buffered for one direction while an earlier one is missing, and their largest distance from it: the
/// limits of an OpenVPN receiver (`TLS_RELIABLE_N_REC_BUFFERS`).
const MAX_BUFFERED_PACKETS: usize = 12;

/// Memory of a buffered packet besides its bytes: its list entry, and the heap's header and rounding.
const PACKET_OVERHEAD: usize = 64;

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlOutcome {
    /// Bytes that had arrived before.
    pub duplicate: usize,
    /// Bytes not buffered for lack of memory.
    pub refused: usize,
    /// The error in the packet, or in the TLS stream.
    pub error: Option<WireError>,
}

/// An event of a control channel, in order.
#[derive(Clone, Copy, Debug)]
pub enum ControlEvent<'a> {
    /// Another handshake begins: all state of the last one is invalid.
    Restart,
    /// A handshake message, and the side that has sent it.
    Message(Side, HandshakeMessage<'a>),
}

/// Both directions of an OpenVPN control channel.
///
/// A client's hard reset with another session id, and a soft reset with another key id, begin another handshake. If the
/// resets were not captured, a direction begins with the packet that begins with a hello.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`ControlChannel::clear`] before this is dropped.
#[derive(Debug, Default)]
pub struct ControlChannel {
    /// The handshake.
    pub session: Session,
    /// Whether the high end of the flow's key is the client, once that is known.
    client_is_high: Option<bool>,
    /// Bytes of `tls-auth` in each packet, once that is known.
    auth: Option<usize>,
    key_id: u8,
    client: ControlDirection,
    server: ControlDirection,
    /// Bytes charged to the budget for both directions.
    charged: usize,
}

/// One direction.
#[derive(Debug, Default)]
struct ControlDirection {
    session_id: Option<[u8; openvpn::SESSION_ID_LEN]>,
    /// Number of the next packet to read; `None` before the first.
    next: Option<u32>,
    /// Packets that arrived before an earlier one, unsorted: none of them is `next`.
    buffered_packets: Vec<(u32, Box<[u8]>)>,
    tls: HandshakeStream,
    /// The handshake is over: what follows is encrypted.
    is_over: bool,
}

impl ControlDirection {
    /// Begins a TLS stream with the packet of this number.
    fn begin(&mut self, session_id: [u8; openvpn::SESSION_ID_LEN], next: u32) {
        *self = Self { session_id: Some(session_id), next: Some(next), ..Self::default() };
    }

    fn buffered(&self) -> usize {
        let packets: usize = self.buffered_packets.iter().map(|(_, payload)| payload.len() + PACKET_OVERHEAD).sum();
        packets + self.tls.buffered()
    }

    fn is_incomplete(&self) -> bool {
        !self.buffered_packets.is_empty() || self.tls.buffered() > 0
    }

    /// Ends the stream.
    fn end(&mut self) {
        self.is_over = true;
        self.buffered_packets = Vec::new();
        self.tls = HandshakeStream::new();
    }

    /// Parses or buffers the payload of a packet, and calls `receive` for the messages that are now in order.
    fn push(
        &mut self,
        packet: &ControlPacket<'_>,
        outcome: &mut ControlOutcome,
        mut receive: impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    ) {
        let Some(next) = self.next else {
            return;
        };
        match packet.packet_id.wrapping_sub(next).cast_signed() {
            ..0 => outcome.duplicate += packet.payload.len(),
            0 => self.parse(packet.payload, outcome, &mut receive),
            ahead => self.buffer(packet, ahead.unsigned_abs(), outcome),
        }
        while let Some(index) = self.buffered_packets.iter().position(|(id, _)| Some(*id) == self.next) {
            let (_, payload) = self.buffered_packets.swap_remove(index);
            self.parse(&payload, outcome, &mut receive);
        }
    }

    /// Parses the next payload in order.
    fn parse(
        &mut self,
        payload: &[u8],
        outcome: &mut ControlOutcome,
        receive: &mut impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    ) {
        self.next = self.next.map(|next| next.wrapping_add(1));
        match self.tls.push(payload, receive) {
            HandshakeStatus::Open => {}
            HandshakeStatus::Ended(_) => self.end(),
            HandshakeStatus::Failed(error) => {
                outcome.error = Some(error);
                self.end();
            }
        }
    }

    fn buffer(&mut self, packet: &ControlPacket<'_>, ahead: u32, outcome: &mut ControlOutcome) {
        if self.buffered_packets.iter().any(|(id, _)| *id == packet.packet_id) {
            outcome.duplicate += packet.payload.len();
        } else if ahead as usize > MAX_BUFFERED_PACKETS || self.buffered_packets.len() >= MAX_BUFFERED_PACKETS {
            outcome.refused += packet.payload.len();
        } else {
            self.buffered_packets.push((packet.packet_id, packet.payload.into()));
        }
    }
}

impl ControlChannel {
    /// Whether the high end of the flow's key is the client.
    #[must_use]
    pub(crate) fn client_is_high(&self) -> bool {
        self.client_is_high.unwrap_or_default()
    }

    /// Number of directions with an incomplete message, or with buffered packets.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        [&self.client, &self.server].iter().filter(|direction| direction.is_incomplete()).count() as u64
    }

    /// The start of the incomplete message of each direction.
    pub fn incomplete_messages(&self) -> impl Iterator<Item = (Side, HandshakeMessage<'_>)> {
        let client = self.client.tls.incomplete_message().map(|message| (Side::Client, message));
        let server = self.server.tls.incomplete_message().map(|message| (Side::Server, message));
        client.into_iter().chain(server)
    }

    /// Parses the header of a packet; `None` if the offsets of its fields, or its sender, are not known.
    ///
    /// # Errors
    /// As [`ControlPacket::parse`].
    pub fn packet<'p>(
        &mut self,
        bytes: &'p [u8],
        from_high: bool,
    ) -> Result<Option<(Side, ControlPacket<'p>)>, WireError> {
        // The fields of this packet take precedence over those of earlier packets.
        let Some(auth) = openvpn::auth_len(bytes).or(self.auth) else {
            return Ok(None);
        };
        let Some(packet) = ControlPacket::parse(bytes, auth)? else {
            return Ok(None);
        };
        // An encrypted reset, as at a renewal with `tls-crypt`, begins nothing.
        if packet.kind != ControlOpcode::Control && (packet.packet_id != 0 || !packet.payload.is_empty()) {
            return Ok(None);
        }
        let side = match packet.kind {
            ControlOpcode::ClientReset => Some(Side::Client),
            ControlOpcode::ServerReset => Some(Side::Server),
            _ if packet.begins(CLIENT_HELLO) => Some(Side::Client),
            _ if packet.begins(SERVER_HELLO) => Some(Side::Server),
            _ => self.client_is_high.map(|high| if high == from_high { Side::Client } else { Side::Server }),
        };
        let Some(side) = side else {
            return Ok(None);
        };
        self.auth = Some(auth);
        self.client_is_high.get_or_insert((side == Side::Client) == from_high);
        Ok(Some((side, packet)))
    }

    /// Parses a packet from [`packet`](Self::packet), and calls `receive` for the messages that are now in order.
    pub fn push(
        &mut self,
        side: Side,
        packet: &ControlPacket<'_>,
        budget: &mut Budget,
        mut receive: impl FnMut(ControlEvent<'_>) -> ControlFlow<()>,
    ) -> ControlOutcome {
        let mut outcome = ControlOutcome::default();
        if self.restarts(side, packet) {
            if self.client.next.is_some() || self.server.next.is_some() {
                _ = receive(ControlEvent::Restart);
            }
            (self.client, self.server) = (ControlDirection::default(), ControlDirection::default());
            self.key_id = packet.key_id;
        }
        let direction = if side == Side::Client { &mut self.client } else { &mut self.server };
        let is_known = direction.session_id == Some(packet.session_id);
        match packet.kind {
            ControlOpcode::Control if packet.key_id != self.key_id => {}
            ControlOpcode::Control if is_known && direction.is_over => {}
            ControlOpcode::Control if is_known && direction.next.is_some() => {
                direction.push(packet, &mut outcome, |message| receive(ControlEvent::Message(side, message)));
            }
            // The reset was not captured.
            ControlOpcode::Control if packet.begins(CLIENT_HELLO) || packet.begins(SERVER_HELLO) => {
                direction.begin(packet.session_id, packet.packet_id);
                direction.push(packet, &mut outcome, |message| receive(ControlEvent::Message(side, message)));
            }
            ControlOpcode::Control => {}
            _ if !is_known || direction.next.is_none() => {
                direction.begin(packet.session_id, packet.packet_id.wrapping_add(1));
            }
            _ => {}
        }
        self.charge(budget, &mut outcome);
        outcome
    }

    /// Whether another handshake begins with a packet.
    fn restarts(&self, side: Side, packet: &ControlPacket<'_>) -> bool {
        match packet.kind {
            ControlOpcode::ClientReset => self.client.session_id != Some(packet.session_id),
            ControlOpcode::SoftReset => packet.key_id != self.key_id,
            ControlOpcode::ServerReset => false,
            ControlOpcode::Control if side == Side::Client && packet.begins(CLIENT_HELLO) => {
                packet.key_id != self.key_id || self.client.session_id.is_some_and(|id| id != packet.session_id)
            }
            ControlOpcode::Control => false,
        }
    }

    /// Charges the buffered bytes. If the shard's budget is used up, both directions end.
    fn charge(&mut self, budget: &mut Budget, outcome: &mut ControlOutcome) {
        let buffered = self.client.buffered() + self.server.buffered();
        if buffered > self.charged && !budget.charge(buffered - self.charged) {
            outcome.refused += buffered;
            return self.clear(budget);
        }
        budget.credit(self.charged.saturating_sub(buffered));
        self.charged = buffered;
    }

    /// Drops all buffered bytes, and returns them to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        budget.credit(std::mem::take(&mut self.charged));
        for direction in [&mut self.client, &mut self.server] {
            if direction.is_incomplete() {
                direction.end();
            }
        }
    }
}
