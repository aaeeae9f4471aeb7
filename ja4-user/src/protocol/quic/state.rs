//! One QUIC connection.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::quic::{ConnectionId, LongPacket, PacketKeys};
use ja4::wire::tls::HandshakeMessage;

use super::buffers::QuicBuffers;
use super::crypto::CryptoStream;
use super::outcome::{QuicMessage, QuicOutcome};
use crate::conntrack::Budget;
use crate::model::{PerSide, Side, Time};
use crate::protocol::datagram::UdpDatagram;

/// A connection. After both hellos none of its state is on the heap.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub struct QuicState {
    /// Destination connection ID of the client's first Initial, from which its keys are derived.
    original: ConnectionId,
    /// Connection ID in a Retry, from which the keys are derived if the client follows it. A forged Retry changes nothing, as
    /// the first keys stay valid.
    retried: Option<ConnectionId>,
    /// Source connection ID of the client.
    client: ConnectionId,
    /// Source connection ID of the server.
    server: Option<ConnectionId>,
    /// Version of the last Initial that was decrypted.
    version: u32,
    /// Time and TTL of the client's first Initial.
    first_initial: (Time, u8),
    /// Whether the client is the high end of the flow's key.
    client_is_high: bool,
    /// Whether it was over the limit of connections when it began.
    over_limit: bool,
    /// Whether further messages of each side are of no interest.
    done: PerSide<bool>,
    /// Present while a side is not done.
    handshake: Option<Box<PerSide<InitialDirection>>>,
}

// A flow may have several.
const _: () = assert!(size_of::<QuicState>() <= 128);

/// The Initials of one side.
#[derive(Debug, Default)]
struct InitialDirection {
    /// The keys used last, with their version and connection ID.
    keys: Option<(u32, ConnectionId, PacketKeys)>,
    crypto: CryptoStream,
}

/// The datagram that is parsed, with buffers and outcome.
pub(super) struct DatagramCtx<'a> {
    pub(super) buffers: &'a mut QuicBuffers,
    pub(super) budget: &'a mut Budget,
    pub(super) datagram: &'a UdpDatagram<'a>,
    pub(super) outcome: &'a mut QuicOutcome,
}

impl QuicState {
    /// The connection that a client's Initial begins, which these keys decrypt.
    pub(super) fn begin(
        packet: &LongPacket<'_>,
        keys: PacketKeys,
        datagram: &UdpDatagram<'_>,
        over_limit: bool,
    ) -> Result<Self, WireError> {
        let original = ConnectionId::try_from(packet.dcid)?;
        let client = InitialDirection { keys: Some((packet.version, original, keys)), ..Default::default() };
        Ok(Self {
            original,
            retried: None,
            client: ConnectionId::try_from(packet.scid)?,
            server: None,
            version: packet.version,
            first_initial: (datagram.time, datagram.ttl),
            client_is_high: datagram.from_high,
            over_limit,
            done: PerSide::default(),
            handshake: Some(Box::new(PerSide { client, server: InitialDirection::default() })),
        })
    }

    /// Version of the last Initial that was decrypted.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Time and TTL of the client's first Initial.
    #[must_use]
    pub(crate) fn first_initial(&self) -> (Time, u8) {
        self.first_initial
    }

    /// Whether the client is the high end of the flow's key.
    #[must_use]
    pub(crate) fn client_is_high(&self) -> bool {
        self.client_is_high
    }

    /// Whether no further Initials of this connection are of interest.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.done.client && self.done.server
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub fn close(&mut self, budget: &mut Budget) {
        if let Some(mut handshake) = self.handshake.take() {
            handshake.iter_mut().for_each(|(_, direction)| direction.crypto.close(budget));
        }
    }

    /// Ends the sides with an incomplete message; the other one continues.
    pub(super) fn drop_incomplete(&mut self, budget: &mut Budget) {
        for (side, direction) in self.handshake.iter_mut().flat_map(|handshake| handshake.iter_mut()) {
            if direction.crypto.is_incomplete() {
                direction.crypto.close(budget);
                self.done[side] = true;
            }
        }
        if self.is_done() {
            self.handshake = None;
        }
    }

    /// Number of sides with an incomplete message or a gap.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        let directions = self.handshake.iter().flat_map(|handshake| handshake.iter());
        directions.filter(|(_, direction)| direction.crypto.is_incomplete()).count() as u64
    }

    /// The start of the client's incomplete message.
    #[must_use]
    pub(crate) fn incomplete_message(&self) -> Option<HandshakeMessage<'_>> {
        self.handshake.as_deref()?.client.crypto.incomplete_message()
    }

    /// The sender's side in this connection.
    pub(super) fn side(&self, from_high: bool) -> Side {
        if from_high == self.client_is_high { Side::Client } else { Side::Server }
    }

    /// Whether further messages of this side are of interest.
    pub(super) fn awaits(&self, side: Side) -> bool {
        !self.done[side]
    }

    /// Whether the client's keys are derived from this connection ID.
    pub(super) fn is_initial_destination(&self, id: ConnectionId) -> bool {
        self.original == id || self.retried == Some(id)
    }

    /// The server's connection ID, once it is known.
    pub(super) fn server(&self) -> Option<ConnectionId> {
        self.server
    }

    /// Whether this is the client's own connection ID.
    pub(super) fn is_client(&self, id: &[u8]) -> bool {
        self.client.as_bytes() == id
    }

    /// Sets the assumed connection ID of the server. The server's own Initial replaces it.
    pub(super) fn assume_server(&mut self, id: ConnectionId) {
        self.server = Some(id);
    }

    /// Whether a Retry to a client with this connection ID may be for this one.
    pub(super) fn may_retry(&self, client: &[u8]) -> bool {
        self.server.is_none() && self.client.as_bytes() == client
    }

    /// Whether a Retry was seen.
    pub(super) fn has_retried(&self) -> bool {
        self.retried.is_some()
    }

    /// Records a Retry: the client is to begin again with this destination connection ID.
    pub(super) fn retry(&mut self, id: ConnectionId) {
        self.retried = Some(id);
    }

    /// Parses an Initial of this side, if the keys of this connection decrypt it. Initials of a side that is done are ignored.
    pub(super) fn initial<R>(
        &mut self,
        side: Side,
        packet: &LongPacket<'_>,
        cx: &mut DatagramCtx<'_>,
        receive: R,
    ) -> Result<(), WireError>
    where
        R: FnMut(QuicMessage<'_>) -> ControlFlow<()>,
    {
        if !self.awaits(side) {
            return Ok(());
        }
        let mut opened = Err(WireError::Unauthenticated);
        for id in [self.retried, Some(self.original)].into_iter().flatten() {
            let keys = self.keys(side, packet.version, id)?;
            opened = cx.buffers.open(&keys, packet);
            if opened.is_ok() {
                break;
            }
        }
        let frames = opened?;
        self.version = packet.version;
        if side == Side::Server {
            self.server = ConnectionId::try_from(packet.scid).ok();
        }
        self.deliver(side, frames, cx, receive);
        Ok(())
    }

    /// The keys of a side; those used last are kept.
    fn keys(&mut self, side: Side, version: u32, id: ConnectionId) -> Result<PacketKeys, WireError> {
        let direction = self.handshake.as_deref_mut().map(|handshake| &mut handshake[side]);
        if let Some((of, from, keys)) = direction.as_ref().and_then(|direction| direction.keys)
            && (of, from) == (version, id)
        {
            return Ok(keys);
        }
        let keys = match side {
            Side::Client => PacketKeys::client(version, id.as_bytes()),
            Side::Server => PacketKeys::server(version, id.as_bytes()),
        }?;
        if let Some(direction) = direction {
            direction.keys = Some((version, id, keys));
        }
        Ok(keys)
    }

    /// Delivers the messages of the packet that was just decrypted, if its frames are well-formed.
    pub(super) fn deliver<R>(
        &mut self,
        side: Side,
        frames: Result<(), WireError>,
        cx: &mut DatagramCtx<'_>,
        mut receive: R,
    ) where
        R: FnMut(QuicMessage<'_>) -> ControlFlow<()>,
    {
        let DatagramCtx { buffers: QuicBuffers { limits, plaintext, frames: list }, budget, outcome, .. } = cx;
        if let Err(error) = frames {
            outcome.count(error);
            return;
        }
        let Self { version, over_limit, client_is_high, .. } = *self;
        let Some(handshake) = self.handshake.as_deref_mut() else {
            return;
        };
        let crypto = &mut handshake[side].crypto;
        let memory = (&*limits, &mut **budget);
        let pushed = crypto.push(list, plaintext, memory, &mut outcome.crypto, |message| {
            receive(QuicMessage { side, message, version, client_is_high, over_limit })
        });
        if let Err(error) = pushed {
            outcome.count(error);
        }
        if pushed != Ok(ControlFlow::Continue(())) {
            crypto.close(budget);
            self.done[side] = true;
        }
        if self.is_done() {
            self.handshake = None;
        }
    }
}
