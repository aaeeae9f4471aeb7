//! One connection.

use std::ops::ControlFlow;

use super::QuicEngine;
use super::crypto::CryptoStream;
use super::datagram::{Datagram, Given, Seen};
use crate::conntrack::Budget;
use crate::model::{Side, Time};
use ja4::wire::WireError;
use ja4::wire::quic::{ConnectionId, LongPacket, PacketKeys};
use ja4::wire::tls::HandshakeMessage;

/// A connection. After both hellos nothing of it is on the heap.
///
/// What it holds is charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub struct QuicState {
    /// The destination that the client chose at first: what its keys are made of.
    original: ConnectionId,
    /// The destination that a Retry gave it: what its keys are made of, if it obeys. Whoever forges one
    /// changes nothing, as the first keys still count.
    retried: Option<ConnectionId>,
    /// What the client calls itself.
    client: ConnectionId,
    /// What the server calls itself; it opens nothing.
    server: Option<ConnectionId>,
    /// Of the last Initial that was opened.
    version: u32,
    /// When the first Initial of the client was seen, and its TTL.
    asked: (Time, u8),
    /// The client is the high end of the flow's key.
    client_is_high: bool,
    /// It has begun where there was no room for it.
    surplus: bool,
    /// Sides whose messages are no longer wanted.
    done: [bool; 2],
    /// Present while a side is not done.
    handshake: Option<Box<[Half; 2]>>,
}

// A flow may have several.
const _: () = assert!(size_of::<QuicState>() <= 128);

/// One side's handshake.
#[derive(Debug, Default)]
struct Half {
    /// The keys tried last, with the version and the ID that they are of.
    keys: Option<(u32, ConnectionId, PacketKeys)>,
    crypto: CryptoStream,
}

/// What the reading of one datagram carries along.
pub(super) struct Reading<'a> {
    pub(super) engine: &'a mut QuicEngine,
    pub(super) budget: &'a mut Budget,
    pub(super) datagram: &'a Datagram<'a>,
    pub(super) seen: &'a mut Seen,
}

impl QuicState {
    /// The connection that a client's Initial begins.
    pub(super) fn begin(packet: &LongPacket<'_>, datagram: &Datagram<'_>, surplus: bool) -> Result<Self, WireError> {
        Ok(Self {
            original: ConnectionId::try_from(packet.dcid)?,
            retried: None,
            client: ConnectionId::try_from(packet.scid)?,
            server: None,
            version: packet.version,
            asked: (datagram.time, datagram.ttl),
            client_is_high: datagram.from_high,
            surplus,
            done: [false; 2],
            handshake: Some(Box::default()),
        })
    }

    /// The version of the last Initial that was opened.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// When the first Initial of the client was seen, and its TTL.
    #[must_use]
    pub fn asked(&self) -> (Time, u8) {
        self.asked
    }

    /// Whether the client is the high end of the flow's key.
    #[must_use]
    pub fn client_is_high(&self) -> bool {
        self.client_is_high
    }

    /// Whether nothing more is to come of this connection's Initials.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done == [true; 2]
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn close(&mut self, budget: &mut Budget) {
        if let Some(mut handshake) = self.handshake.take() {
            handshake.iter_mut().for_each(|half| half.crypto.close(budget));
        }
    }

    /// Gives up the sides of which a message is under way; the other one goes on.
    pub(super) fn give_up(&mut self, budget: &mut Budget) {
        for (half, done) in self.handshake.iter_mut().flat_map(|halves| halves.iter_mut()).zip(&mut self.done) {
            if half.crypto.is_unfinished() {
                half.crypto.close(budget);
                *done = true;
            }
        }
        if self.is_done() {
            self.handshake = None;
        }
    }

    /// How many sides have a message under way, or wait for bytes that are missing.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.handshake.iter().flat_map(|halves| halves.iter()).filter(|half| half.crypto.is_unfinished()).count() as u64
    }

    /// The client's message under way, as far as it has come.
    #[must_use]
    pub fn under_way(&self) -> Option<HandshakeMessage<'_>> {
        let [client, _] = self.handshake.as_deref()?;
        client.crypto.under_way()
    }

    /// Who the sender is in this connection.
    pub(super) fn side(&self, from_high: bool) -> Side {
        if from_high == self.client_is_high { Side::Client } else { Side::Server }
    }

    /// Whether more of this side's messages are wanted.
    pub(super) fn awaits(&self, side: Side) -> bool {
        self.done.get(side as usize) == Some(&false)
    }

    /// Whether the client's keys are made of this ID.
    pub(super) fn asks_for(&self, id: ConnectionId) -> bool {
        self.original == id || self.retried == Some(id)
    }

    /// What the server calls itself, once it is known.
    pub(super) fn server(&self) -> Option<ConnectionId> {
        self.server
    }

    /// Whether this is the client's own connection ID.
    pub(super) fn is_client(&self, id: &[u8]) -> bool {
        self.client.as_bytes() == id
    }

    /// Takes over what the server seems to call itself. Its own Initial says it better.
    pub(super) fn suppose_server(&mut self, id: ConnectionId) {
        self.server = Some(id);
    }

    /// Whether a Retry to a client of this name may be for this one.
    pub(super) fn may_retry(&self, client: &[u8]) -> bool {
        self.server.is_none() && self.client.as_bytes() == client
    }

    /// Whether a Retry was seen.
    pub(super) fn has_retried(&self) -> bool {
        self.retried.is_some()
    }

    /// The server asks the client to begin again, at this destination.
    pub(super) fn retry(&mut self, id: ConnectionId) {
        self.retried = Some(id);
    }

    /// Takes an Initial of this side, if its keys open it; of a side that is done it is not opened.
    pub(super) fn initial<R>(
        &mut self,
        side: Side,
        packet: &LongPacket<'_>,
        reading: &mut Reading<'_>,
        receive: R,
    ) -> Result<(), WireError>
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        if !self.awaits(side) {
            return Ok(());
        }
        let mut opened = Err(WireError::Unauthenticated);
        for id in [self.retried, Some(self.original)].into_iter().flatten() {
            let keys = self.keys(side, packet.version, id)?;
            opened = reading.engine.open(&keys, packet);
            if opened.is_ok() {
                break;
            }
        }
        let frames = opened?;
        self.version = packet.version;
        if side == Side::Server {
            self.server = ConnectionId::try_from(packet.scid).ok();
        }
        self.deliver(side, frames, reading, receive);
        Ok(())
    }

    /// The keys of a side; those at hand if they fit.
    fn keys(&mut self, side: Side, version: u32, id: ConnectionId) -> Result<PacketKeys, WireError> {
        let half = self.handshake.as_mut().and_then(|halves| halves.get_mut(side as usize));
        if let Some((of, from, keys)) = half.as_ref().and_then(|half| half.keys)
            && (of, from) == (version, id)
        {
            return Ok(keys);
        }
        let keys = match side {
            Side::Client => PacketKeys::client(version, id.as_bytes()),
            Side::Server => PacketKeys::server(version, id.as_bytes()),
        }?;
        if let Some(half) = half {
            half.keys = Some((version, id, keys));
        }
        Ok(keys)
    }

    /// Gives the messages of the packet just opened, if its frames could be read.
    pub(super) fn deliver<R>(
        &mut self,
        side: Side,
        frames: Result<(), WireError>,
        reading: &mut Reading<'_>,
        mut receive: R,
    ) where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let Reading { engine: QuicEngine { limits, plaintext, pieces }, budget, seen, .. } = reading;
        if let Err(error) = frames {
            seen.count(error);
            return;
        }
        let place = side as usize;
        let Self { version, surplus, client_is_high, .. } = *self;
        let (Some(half), Some(done)) =
            (self.handshake.as_mut().and_then(|halves| halves.get_mut(place)), self.done.get_mut(place))
        else {
            return;
        };
        let room = (&*limits, &mut **budget);
        let pushed = half.crypto.push(pieces, plaintext, room, &mut seen.crypto, |message| {
            receive(Given { side, message, version, client_is_high, surplus })
        });
        if let Err(error) = pushed {
            seen.count(error);
        }
        if pushed != Ok(ControlFlow::Continue(())) {
            half.crypto.close(budget);
            *done = true;
        }
        if self.is_done() {
            self.handshake = None;
        }
    }
}
