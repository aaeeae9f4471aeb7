//! A QUIC connection as far as its Initial packets show it: keys, CRYPTO streams, handshake messages.
//!
//! ```text
//! datagram ─▶ packets ─▶ keys of (version, DCID) ─▶ frames ─▶ CRYPTO in order ─▶ handshake messages
//! ```
//! The keys follow from the destination that the client chose for its first Initial, or after a Retry from
//! the one that the Retry gave it; they stay when the client later writes to the ID that the server chose
//! (RFC 9001, section 5.2; RFC 9000, section 7.2). Which packet is which is decided by what opens it: an
//! Initial says with 128 bits that it is one, of this connection and this side.
//!
//! Anybody can send a client's Initial to a destination of their own choice. Until the server has said hello,
//! one to a new destination does not replace what is known: the first connection and the last one stand side
//! by side, and the one whose keys open the server's packet remains.

mod crypto;
mod datagram;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::event::{Side, Time};
use crate::flow::{Budget, Limits};
use crate::wire::WireError;
use crate::wire::quic::{ConnectionId, LongPacket, PacketKeys, PacketKind, Packets, Plaintext};
use crypto::{CryptoStream, Pieces};
pub use datagram::{Datagram, Given, Seen};

/// What the connections of a shard share: buffers. One per thread.
#[derive(Debug, Default)]
pub struct QuicEngine {
    limits: Limits,
    plaintext: Plaintext,
    pieces: Pieces,
}

impl QuicEngine {
    /// An engine whose connections hold as much as `limits` allow, in each direction.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Opens an Initial and reads its frames. The inner error is one of the frames, and says that the
    /// packet was opened all the same.
    fn open(&mut self, keys: &PacketKeys, packet: &LongPacket<'_>) -> Result<Result<(), WireError>, WireError> {
        keys.open(packet, &mut self.plaintext)?;
        let frames = self.pieces.read(&self.plaintext);
        if packet.is_truncated() && frames.is_err() {
            // Not authenticated, and makes no sense.
            return Err(WireError::Unauthenticated);
        }
        Ok(frames)
    }
}

/// A connection. Small, and after both hellos nothing on the heap.
///
/// What it holds is charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug, Default)]
pub struct QuicState {
    /// What the client's keys are made of.
    original: Option<ConnectionId>,
    /// What the client writes to once the server has answered; it opens nothing.
    server: Option<ConnectionId>,
    version: u32,
    /// When the first Initial of the client was seen, and its TTL. Of what goes on after a Retry, those of
    /// the Initial before it.
    asked: (Time, u8),
    /// The caller's client is the server.
    reversed: bool,
    /// The server has asked the client to begin again.
    retried: bool,
    /// Sides whose messages are no longer wanted.
    done: [bool; 2],
    /// Present while a side is not done.
    handshake: Option<Box<Handshake>>,
}

// Every tracked connection has one.
const _: () = assert!(size_of::<QuicState>() <= 80);

/// What is needed until both hellos are known.
#[derive(Debug, Default)]
struct Handshake {
    halves: [Half; 2],
    /// The first connection, if there is another one that the server has not answered either: it may answer
    /// this one. It has no rival itself.
    rival: Option<Box<QuicState>>,
}

impl Handshake {
    /// Lets go of the rival, and gives back what it holds.
    fn drop_rival(&mut self, budget: &mut Budget) {
        if let Some(mut rival) = self.rival.take() {
            rival.close(budget);
        }
    }
}

/// One side's handshake.
#[derive(Debug, Default)]
struct Half {
    /// Keys of `original`, with the version that they are of.
    keys: Option<(u32, PacketKeys)>,
    crypto: CryptoStream,
}

/// What the reading of one datagram carries along.
struct Reading<'a, R> {
    engine: &'a mut QuicEngine,
    budget: &'a mut Budget,
    asked: (Time, u8),
    seen: Seen,
    receive: R,
}

impl QuicState {
    /// The version of the last Initial that was opened.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.original.map(|_| self.version)
    }

    /// The destination that the client chose at first, or after a Retry: what its keys are made of.
    #[must_use]
    pub fn original(&self) -> Option<ConnectionId> {
        self.original
    }

    /// When the first Initial of the client was seen, and its TTL.
    #[must_use]
    pub fn asked(&self) -> Option<(Time, u8)> {
        self.original.map(|_| self.asked)
    }

    /// Whether nothing more is to come of this connection's Initials.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done == [true; 2]
    }

    /// Takes a datagram and calls `receive` for each whole handshake message that it completes.
    ///
    /// Where `receive` breaks behind a message, that side is done: what it held is released, and its later
    /// Initials are not opened.
    pub fn datagram<R>(
        &mut self,
        engine: &mut QuicEngine,
        datagram: &Datagram<'_>,
        budget: &mut Budget,
        receive: R,
    ) -> Seen
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let from = if self.reversed { other(datagram.from) } else { datagram.from };
        let asked = (datagram.time, datagram.ttl);
        let mut reading = Reading { engine, budget, asked, seen: Seen::by(from), receive };
        for packet in Packets::new(datagram.payload, datagram.wire_len) {
            match packet {
                Ok(packet) => self.packet(&packet, &mut reading),
                Err(error) => reading.seen.count(error),
            }
        }
        reading.seen
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn close(&mut self, budget: &mut Budget) {
        if let Some(mut handshake) = self.handshake.take() {
            handshake.halves.iter_mut().for_each(|half| half.crypto.close(budget));
            handshake.drop_rival(budget);
        }
    }

    /// How many sides have a message under way, or wait for bytes that are missing.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.handshake.iter().flat_map(|handshake| &handshake.halves).filter(|half| half.crypto.is_unfinished()).count()
            as u64
    }

    fn packet<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>)
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let seen = &mut reading.seen;
        match packet.kind {
            PacketKind::Initial => {
                let opened = match (seen.from, self.original) {
                    (Side::Client, _) => self.client_initial(packet, reading),
                    (Side::Server, Some(original)) => self.server_initial(packet, original, reading),
                    (Side::Server, None) => self.first_initial(packet, reading),
                };
                match opened {
                    Ok(()) => reading.seen.initial = true,
                    Err(error) => reading.seen.count(error),
                }
            }
            PacketKind::Handshake => seen.handshake = true,
            PacketKind::ZeroRtt | PacketKind::VersionNegotiation => {}
            PacketKind::Retry => {
                // A client obeys none that comes after an Initial (RFC 9000, section 17.2.5.2).
                self.retried |= seen.from == Side::Server && self.original.is_some() && self.server.is_none();
            }
            PacketKind::Unknown => seen.count(WireError::Unsupported),
        }
    }

    /// An Initial of the client: of the connection known, or of a new one. Which, is tried out.
    fn client_initial<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>) -> Result<(), WireError>
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let own = ConnectionId::try_from(packet.dcid)?;
        if let Some(rival) = self.rival()
            && rival.original == Some(own)
        {
            if rival.done[0] {
                return Ok(());
            }
            self.change_places();
        }
        let [done, _] = self.done;
        let candidates = match self.original {
            None => [Some(own), None],
            Some(original) if own == original || self.server == Some(own) => [Some(original).filter(|_| !done), None],
            Some(original) if self.retried => [Some(own), Some(original).filter(|_| !done)],
            Some(original) => [Some(original).filter(|_| !done), Some(own)],
        };
        let mut failure = None;
        for id in candidates.into_iter().flatten() {
            let keys = self.keys(Side::Client, packet.version, id)?;
            match reading.engine.open(&keys, packet) {
                Ok(frames) => {
                    self.adopt(id, reading);
                    self.version = packet.version;
                    self.remember(Side::Client, packet.version, keys);
                    self.deliver(Side::Client, frames, reading);
                    return Ok(());
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if done && failure == Some(WireError::Unauthenticated) {
            // The server's choice, whose Initial was not seen; it will come again.
            self.server = Some(own);
            return Ok(());
        }
        failure.map_or(Ok(()), Err)
    }

    /// An Initial of the server.
    fn server_initial<R>(
        &mut self,
        packet: &LongPacket<'_>,
        original: ConnectionId,
        reading: &mut Reading<'_, R>,
    ) -> Result<(), WireError>
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let [_, done] = self.done;
        if done {
            return Ok(());
        }
        let (keys, frames) = match self.open(packet, original, reading) {
            Ok(opened) => opened,
            Err(error) => {
                let Some(original) = self.rival().and_then(|rival| rival.original) else {
                    return Err(error);
                };
                self.change_places();
                let opened = self.open(packet, original, reading);
                if opened.is_err() {
                    self.change_places();
                }
                opened.map_err(|_| error)?
            }
        };
        if let Some(handshake) = &mut self.handshake {
            handshake.drop_rival(reading.budget);
        }
        self.server = ConnectionId::try_from(packet.scid).ok();
        self.retried = false;
        self.version = packet.version;
        self.remember(Side::Server, packet.version, keys);
        self.deliver(Side::Server, frames, reading);
        Ok(())
    }

    /// Opens an Initial of the server. The inner error is one of its frames.
    fn open<R>(
        &self,
        packet: &LongPacket<'_>,
        original: ConnectionId,
        reading: &mut Reading<'_, R>,
    ) -> Result<(PacketKeys, Result<(), WireError>), WireError> {
        let keys = self.keys(Side::Server, packet.version, original)?;
        Ok((keys, reading.engine.open(&keys, packet)?))
    }

    /// The other connection that the server may answer.
    fn rival(&self) -> Option<&Self> {
        self.handshake.as_ref()?.rival.as_deref()
    }

    /// The rival becomes the connection, and the connection its rival.
    fn change_places(&mut self) {
        let Some(mut rival) = self.handshake.as_mut().and_then(|handshake| handshake.rival.take()) else {
            return;
        };
        (rival.reversed, rival.retried) = (self.reversed, self.retried);
        std::mem::swap(self, &mut rival);
        self.handshake.get_or_insert_default().rival = Some(rival);
    }

    /// An Initial from the caller's server, of a connection whose client is not known. It may be the
    /// client's.
    fn first_initial<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>) -> Result<(), WireError>
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        self.client_initial(packet, reading)?;
        self.reversed = !self.reversed;
        reading.seen.from = Side::Client;
        Ok(())
    }

    /// The keys of a side; those at hand if they fit.
    fn keys(&self, side: Side, version: u32, id: ConnectionId) -> Result<PacketKeys, WireError> {
        let half = self.handshake.as_ref().and_then(|handshake| handshake.halves.get(side as usize));
        if self.original == Some(id)
            && let Some((of, keys)) = half.and_then(|half| half.keys)
            && of == version
        {
            return Ok(keys);
        }
        match side {
            Side::Client => PacketKeys::client(version, id.as_bytes()),
            Side::Server => PacketKeys::server(version, id.as_bytes()),
        }
    }

    fn remember(&mut self, side: Side, version: u32, keys: PacketKeys) {
        if let Some(half) = self.handshake.as_mut().and_then(|handshake| handshake.halves.get_mut(side as usize)) {
            half.keys = Some((version, keys));
        }
    }

    /// Takes over the ID with which a client Initial was opened.
    fn adopt<R>(&mut self, id: ConnectionId, reading: &mut Reading<'_, R>)
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        if self.original == Some(id) {
            return;
        }
        let mut next = Self { original: Some(id), asked: reading.asked, reversed: self.reversed, ..Self::default() };
        let [_, answered] = self.done;
        if answered {
            self.close(reading.budget);
            // Nothing ends with it: there is nothing to read yet.
            let _ = (reading.receive)(Given::Restart);
        } else if self.original.is_some() {
            let retried = self.retried;
            let [done, _] = self.done;
            let rival = match self.handshake.as_mut().and_then(|handshake| handshake.rival.take()) {
                // Two at most: of those that the server has not answered, the first stays.
                Some(first) => {
                    self.close(reading.budget);
                    first
                }
                None => Box::new(std::mem::take(self)),
            };
            if retried {
                // The same client once more, and its hello, if no other has been read meanwhile.
                next.asked = rival.asked;
                next.done[0] = done && rival.done[0];
            }
            next.handshake.get_or_insert_default().rival = Some(rival);
        }
        next.handshake.get_or_insert_default();
        *self = next;
    }

    /// Gives the messages of the packet just opened, if its frames could be read.
    fn deliver<R>(&mut self, side: Side, frames: Result<(), WireError>, reading: &mut Reading<'_, R>)
    where
        R: FnMut(Given<'_>) -> ControlFlow<()>,
    {
        let Reading { engine: QuicEngine { limits, plaintext, pieces }, budget, seen, receive, .. } = reading;
        if let Err(error) = frames {
            seen.count(error);
            return;
        }
        let place = side as usize;
        let (Some(half), Some(done)) =
            (self.handshake.as_mut().and_then(|handshake| handshake.halves.get_mut(place)), self.done.get_mut(place))
        else {
            return;
        };
        if *done {
            return;
        }
        let room = (&*limits, &mut **budget);
        let pushed = half
            .crypto
            .push(pieces, plaintext, room, &mut seen.crypto, |message| receive(Given::Message(side, message)));
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

const fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}
