//! A QUIC connection as far as its Initial packets show it: keys, CRYPTO streams, handshake messages.
//!
//! ```text
//! datagram ─▶ packets ─▶ keys of (version, DCID) ─▶ frames ─▶ CRYPTO in order ─▶ handshake messages
//! ```
//! The keys follow from the destination that the client chose for its first Initial, or after a Retry from
//! the one that the Retry gave it; they stay when the client later writes to the ID that the server chose
//! (RFC 9001, section 5.2; RFC 9000, section 7.2). Which packet is which is decided by what opens it: an
//! Initial says with 128 bits that it is one, of this connection and this side.

mod crypto;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::event::Side;
use crate::flow::{Budget, Limits, Outcome};
use crate::wire::WireError;
use crate::wire::quic::{ConnectionId, LongPacket, PacketKeys, PacketKind, Packets, Plaintext};
use crate::wire::tls::HandshakeMessage;
use crypto::{CryptoStream, Pieces};

/// The payload of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Bytes that it had on the wire, `>= payload.len()`.
    pub wire_len: usize,
    /// Who sent it, as far as the caller knows: that the sender of a flow's first datagram is the client
    /// will do.
    pub from: Side,
}

/// What a datagram held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Seen {
    /// Who sent it. Unlike what the caller believed, if an Initial proved otherwise.
    pub from: Side,
    /// A client Initial opened a new connection in place of the one known so far.
    pub restarted: bool,
    /// An Initial of this connection. Until the sender's hello is known each has been opened; later
    /// ones are believed.
    pub initial: bool,
    /// A 0-RTT packet, by its header.
    pub zero_rtt: bool,
    /// A Handshake packet, by its header.
    pub handshake: bool,
    /// A Retry, by its header.
    pub retry: bool,
    /// A Version Negotiation packet.
    pub version_negotiation: bool,
    /// What became of the bytes in CRYPTO frames.
    pub crypto: Outcome,
    /// What could not be read, by [`WireError::index`].
    pub malformed: [u8; WireError::ALL.len()],
}

impl Seen {
    fn by(from: Side) -> Self {
        Self {
            from,
            restarted: false,
            initial: false,
            zero_rtt: false,
            handshake: false,
            retry: false,
            version_negotiation: false,
            crypto: Outcome::default(),
            malformed: [0; WireError::ALL.len()],
        }
    }

    /// What could not be read, one for each time.
    pub fn errors(&self) -> impl Iterator<Item = WireError> {
        WireError::ALL
            .into_iter()
            .zip(self.malformed)
            .flat_map(|(error, times)| std::iter::repeat_n(error, usize::from(times)))
    }

    fn count(&mut self, error: WireError) {
        if let Some(times) = self.malformed.get_mut(error.index()) {
            *times = times.saturating_add(1);
        }
    }
}

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
    /// The caller's client is the server.
    reversed: bool,
    /// The server has asked the client to begin again.
    retried: bool,
    /// Sides whose messages are no longer wanted.
    done: [bool; 2],
    /// Present while a side is not done.
    handshake: Option<Box<[Half; 2]>>,
}

// Every tracked connection has one.
const _: () = assert!(size_of::<QuicState>() <= 64);

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

    /// Whether nothing more is to come of this connection's Initials.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done == [true; 2]
    }

    /// Takes a datagram and calls `receive` for each whole handshake message that it completes, with the
    /// side that sent it.
    ///
    /// Where `receive` breaks, that side is done: what it held is released, and its later Initials are
    /// not opened.
    pub fn datagram<R>(
        &mut self,
        engine: &mut QuicEngine,
        datagram: &Datagram<'_>,
        budget: &mut Budget,
        receive: R,
    ) -> Seen
    where
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        let from = if self.reversed { other(datagram.from) } else { datagram.from };
        let mut reading = Reading { engine, budget, seen: Seen::by(from), receive };
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
        for half in self.handshake.take().iter_mut().flat_map(|halves| halves.iter_mut()) {
            half.crypto.close(budget);
        }
    }

    fn packet<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>)
    where
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
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
            PacketKind::ZeroRtt => seen.zero_rtt = true,
            PacketKind::Handshake => seen.handshake = true,
            PacketKind::VersionNegotiation => seen.version_negotiation = true,
            PacketKind::Retry => {
                seen.retry = true;
                // A client obeys none that comes after an Initial (RFC 9000, section 17.2.5.2).
                self.retried |= seen.from == Side::Server && self.original.is_some() && self.server.is_none();
            }
            PacketKind::Unknown => seen.count(WireError::Unsupported),
        }
    }

    /// An Initial of the client: of the connection known, or of a new one. Which, is tried out.
    fn client_initial<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>) -> Result<(), WireError>
    where
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        let [done, _] = self.done;
        let own = ConnectionId::try_from(packet.dcid)?;
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
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        let [_, done] = self.done;
        if done {
            return Ok(());
        }
        let keys = self.keys(Side::Server, packet.version, original)?;
        let frames = reading.engine.open(&keys, packet)?;
        self.server = ConnectionId::try_from(packet.scid).ok();
        self.retried = false;
        self.version = packet.version;
        self.remember(Side::Server, packet.version, keys);
        self.deliver(Side::Server, frames, reading);
        Ok(())
    }

    /// An Initial from the caller's server, of a connection whose client is not known. It may be the
    /// client's.
    fn first_initial<R>(&mut self, packet: &LongPacket<'_>, reading: &mut Reading<'_, R>) -> Result<(), WireError>
    where
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        self.client_initial(packet, reading)?;
        self.reversed = !self.reversed;
        reading.seen.from = Side::Client;
        Ok(())
    }

    /// The keys of a side; those at hand if they fit.
    fn keys(&self, side: Side, version: u32, id: ConnectionId) -> Result<PacketKeys, WireError> {
        let half = self.handshake.as_ref().and_then(|halves| halves.get(side as usize));
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
        if let Some(half) = self.handshake.as_mut().and_then(|halves| halves.get_mut(side as usize)) {
            half.keys = Some((version, keys));
        }
    }

    /// Takes over the ID with which a client Initial was opened.
    fn adopt<R>(&mut self, id: ConnectionId, reading: &mut Reading<'_, R>) {
        if self.original == Some(id) {
            return;
        }
        if self.original.is_some() && !self.retried {
            self.close(reading.budget);
            reading.seen.restarted = true;
            *self = Self { reversed: self.reversed, ..Self::default() };
        }
        self.original = Some(id);
        self.retried = false;
        self.handshake.get_or_insert_default().iter_mut().for_each(|half| half.keys = None);
    }

    /// Gives the messages of the packet just opened, if its frames could be read.
    fn deliver<R>(&mut self, side: Side, frames: Result<(), WireError>, reading: &mut Reading<'_, R>)
    where
        R: FnMut(Side, HandshakeMessage<'_>) -> ControlFlow<()>,
    {
        let Reading { engine: QuicEngine { limits, plaintext, pieces }, budget, seen, receive } = reading;
        if let Err(error) = frames {
            seen.count(error);
            return;
        }
        let place = side as usize;
        let (Some(half), Some(done)) =
            (self.handshake.as_mut().and_then(|halves| halves.get_mut(place)), self.done.get_mut(place))
        else {
            return;
        };
        if *done {
            return;
        }
        let room = (&*limits, &mut **budget);
        let pushed = half.crypto.push(pieces, plaintext, room, &mut seen.crypto, |message| receive(side, message));
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
