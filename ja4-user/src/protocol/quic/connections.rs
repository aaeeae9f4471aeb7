//! The connections of one flow, and which of them a packet belongs to.

use std::ops::ControlFlow;

use super::QuicEngine;
use super::connection::{QuicState, Reading};
use super::datagram::{Datagram, Given, Seen};
use crate::conntrack::Budget;
use crate::model::{Side, Time};
use ja4::wire::WireError;
use ja4::wire::quic::{ConnectionId, LongPacket, PacketKeys, PacketKind, Packets};

/// Connections of one flow at once. Libraries that send all that a client does from one socket (quic-go,
/// msquic) open one to a server, and another while that one migrates or fails; eight leave room for forged
/// ones beside them. A packet that belongs to none is tried on each.
pub const MAX_CONNECTIONS: usize = 8;

/// How long a connection keeps its place with a hello missing, nanoseconds: clients give a handshake up after
/// ten seconds or less (Chromium 10, quic-go 5).
const PATIENCE: u64 = 10_000_000_000;

/// The connections of one flow. Each keeps what the caller wants to know of it, a `T`.
///
/// Where there is no room, one that is done gives way, the oldest first, then one that is not, after
/// ten seconds. Where there is none the new one takes the place of the last that nobody has answered,
/// and is marked: who sends one Initial after the other does not hide the server's answer to the first ones,
/// nor to the last one, and the caller need not tell of them all.
///
/// What they hold is charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub struct Connections<T> {
    /// In the order in which they began.
    list: Vec<Entry<T>>,
}

/// A connection, and what the caller keeps of it.
#[derive(Debug)]
pub struct Entry<T> {
    /// The connection.
    pub state: QuicState,
    /// The caller's.
    pub kept: T,
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<T> Connections<T> {
    /// All of them, in the order in which they began.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.list.iter()
    }

    /// All of them, in the order in which they began.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.list.iter_mut()
    }

    /// The one at a place that [`Seen::connection`] says, until the next datagram.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Entry<T>> {
        self.list.get_mut(place)
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn close(&mut self, budget: &mut Budget) {
        self.list.iter_mut().for_each(|entry| entry.state.close(budget));
    }

    /// Gives up the sides of which a message is under way, of all connections.
    pub fn give_up(&mut self, budget: &mut Budget) {
        self.list.iter_mut().for_each(|entry| entry.state.give_up(budget));
    }

    /// How many sides have a message under way, or wait for bytes that are missing.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.list.iter().map(|entry| entry.state.unfinished()).sum()
    }

    /// The last connection of which this holds.
    fn last(&self, fits: impl Fn(&QuicState) -> bool) -> Option<usize> {
        self.list.iter().rposition(|entry| fits(&entry.state))
    }

    /// The server asks a client to begin again.
    fn retry(&mut self, packet: &LongPacket<'_>, from_high: bool) {
        let fits = |state: &QuicState| state.side(from_high) == Side::Server && state.may_retry(packet.dcid);
        // Clients without names get theirs in the order in which they have asked.
        let first = self.list.iter().position(|entry| fits(&entry.state) && !entry.state.has_retried());
        if let Some(entry) = first.or_else(|| self.last(fits)).and_then(|place| self.list.get_mut(place))
            && let Ok(id) = ConnectionId::try_from(packet.scid)
        {
            entry.state.retry(id);
        }
    }

    /// The connection, if there is exactly one and its client has sent this packet. A client may move to another ID of
    /// the server during the handshake (RFC 9000, section 5.1), and that ID was issued encrypted. The client's own ID
    /// does not change (section 7.2).
    fn only(&self, packet: &LongPacket<'_>, from_high: bool) -> Option<usize> {
        match self.list.as_slice() {
            [Entry { state, .. }] if state.side(from_high) == Side::Client && state.is_client(packet.scid) => Some(0),
            _ => None,
        }
    }

    /// The connection of a Handshake packet, which its header names; else one whose server's name was not
    /// seen; else the only one.
    fn of_handshake(&self, packet: &LongPacket<'_>, from_high: bool) -> Option<usize> {
        let named = |state: &QuicState| {
            let id = if state.side(from_high) == Side::Client { packet.dcid } else { packet.scid };
            state.server().is_some_and(|server| server.as_bytes() == id)
        };
        let unnamed = || self.last(|state| state.server().is_none());
        self.last(named).or_else(unnamed).or_else(|| self.only(packet, from_high))
    }

    /// Makes room for one more; whether it is one too many.
    fn make_room(&mut self, now: Time, seen: &mut Seen, budget: &mut Budget) -> bool {
        if self.list.len() < MAX_CONNECTIONS {
            return false;
        }
        let spent = |entry: &Entry<T>| {
            let (asked, _) = entry.state.asked();
            now.0.saturating_sub(asked.0) >= PATIENCE
        };
        let done = self.list.iter().position(|entry| entry.state.is_done());
        let spare = done.or_else(|| self.list.iter().position(spent));
        let unanswered = || self.last(|state| state.server().is_none());
        let place = spare.or_else(unanswered).unwrap_or(MAX_CONNECTIONS - 1);
        let mut gone = self.list.remove(place);
        seen.given_up += gone.state.unfinished();
        gone.state.close(budget);
        spare.is_none()
    }
}

impl<T: Default> Connections<T> {
    /// Takes a datagram and calls `receive` for each whole handshake message that it completes, with what is
    /// kept of its connection.
    ///
    /// Where `receive` breaks behind a message, that side is done: what it held is released, and its later
    /// Initials are not opened.
    pub fn datagram<R>(
        &mut self,
        engine: &mut QuicEngine,
        datagram: &Datagram<'_>,
        budget: &mut Budget,
        mut receive: R,
    ) -> Seen
    where
        R: FnMut(&mut T, Given<'_>) -> ControlFlow<()>,
    {
        let mut seen = Seen::default();
        let mut reading = Reading { engine, budget, datagram, seen: &mut seen };
        for packet in Packets::new(datagram.payload, datagram.wire_len) {
            if let Err(error) = packet.and_then(|packet| self.packet(&packet, &mut reading, &mut receive)) {
                reading.seen.count(error);
            }
        }
        if let Some(entry) = seen.connection.and_then(|place| self.list.get(place)) {
            seen.from = Some(entry.state.side(datagram.from_high));
        }
        seen
    }

    fn packet<R>(
        &mut self,
        packet: &LongPacket<'_>,
        reading: &mut Reading<'_>,
        receive: &mut R,
    ) -> Result<(), WireError>
    where
        R: FnMut(&mut T, Given<'_>) -> ControlFlow<()>,
    {
        let from_high = reading.datagram.from_high;
        match packet.kind {
            PacketKind::Initial => {
                let place = self.initial(packet, reading, receive)?;
                reading.seen.initial |= *reading.seen.connection.get_or_insert(place) == place;
            }
            PacketKind::Handshake => {
                if let Some(place) = self.of_handshake(packet, from_high) {
                    reading.seen.handshake |= *reading.seen.connection.get_or_insert(place) == place;
                }
            }
            PacketKind::Retry => self.retry(packet, from_high),
            PacketKind::ZeroRtt | PacketKind::VersionNegotiation => {}
            PacketKind::Unknown => return Err(WireError::Unsupported),
        }
        Ok(())
    }

    /// Finds the connection of an Initial, or begins it, and takes what is in it.
    fn initial<R>(
        &mut self,
        packet: &LongPacket<'_>,
        reading: &mut Reading<'_>,
        receive: &mut R,
    ) -> Result<usize, WireError>
    where
        R: FnMut(&mut T, Given<'_>) -> ControlFlow<()>,
    {
        let (to, by) = (ConnectionId::try_from(packet.dcid)?, ConnectionId::try_from(packet.scid)?);
        let from_high = reading.datagram.from_high;
        let asks = |state: &QuicState| state.side(from_high) == Side::Client;
        let answers = |state: &QuicState| !asks(state);

        // A client says which connection it means: by the ID that it chose, or by the server's.
        let named = self.last(|state| asks(state) && state.asks_for(to));
        if let Some(place) = named.or_else(|| self.last(|state| asks(state) && state.server() == Some(to))) {
            return self.read(place, Side::Client, packet, reading, receive).map(|()| place);
        }
        // A server's is that of whichever connection opens it.
        for place in (0..self.list.len()).rev() {
            let may_be = |state: &QuicState| {
                answers(state) && state.awaits(Side::Server) && state.server().is_none_or(|server| server == by)
            };
            if self.list.get(place).is_some_and(|entry| may_be(&entry.state))
                && self.read(place, Side::Server, packet, reading, receive).is_ok()
            {
                return Ok(place);
            }
        }
        // More of a server that has said what is wanted.
        if let Some(place) = self.last(|state| answers(state) && state.server() == Some(by)) {
            return Ok(place);
        }
        let failure = match self.begin(packet, reading, receive) {
            Ok(place) => return Ok(place),
            Err(failure) => failure,
        };
        // A client's to the ID of a server whose Initial was not seen.
        for place in (0..self.list.len()).rev() {
            if self.list.get(place).is_some_and(|entry| asks(&entry.state) && entry.state.awaits(Side::Client))
                && self.read(place, Side::Client, packet, reading, receive).is_ok()
            {
                return Ok(place);
            }
        }
        let supposed = self.last(|state| asks(state) && !state.awaits(Side::Client) && state.server().is_none());
        if let Some(place) = supposed.filter(|_| failure == WireError::Unauthenticated)
            && let Some(entry) = self.list.get_mut(place)
        {
            // It will come again.
            entry.state.suppose_server(to);
            return Ok(place);
        }
        // To another ID of a server that is known.
        let is_read = |place: &usize| self.list.get(*place).is_some_and(|entry| !entry.state.awaits(Side::Client));
        let moved = self.only(packet, from_high).filter(is_read);
        moved.filter(|_| failure == WireError::Unauthenticated).ok_or(failure)
    }

    /// Takes an Initial of a side of the connection at this place.
    fn read<R>(
        &mut self,
        place: usize,
        side: Side,
        packet: &LongPacket<'_>,
        reading: &mut Reading<'_>,
        receive: &mut R,
    ) -> Result<(), WireError>
    where
        R: FnMut(&mut T, Given<'_>) -> ControlFlow<()>,
    {
        let Some(Entry { state, kept }) = self.list.get_mut(place) else {
            return Ok(());
        };
        state.initial(side, packet, reading, |given| receive(kept, given))
    }

    /// Begins the connection of a client's Initial, if it is one.
    fn begin<R>(
        &mut self,
        packet: &LongPacket<'_>,
        reading: &mut Reading<'_>,
        receive: &mut R,
    ) -> Result<usize, WireError>
    where
        R: FnMut(&mut T, Given<'_>) -> ControlFlow<()>,
    {
        if reading.seen.connection.is_some() {
            // The packets of a datagram belong to one connection.
            return Err(WireError::Unauthenticated);
        }
        let keys = PacketKeys::client(packet.version, packet.dcid)?;
        let frames = reading.engine.open(&keys, packet)?;
        let surplus = self.make_room(reading.datagram.time, reading.seen, reading.budget);
        let place = self.list.len();
        let state = QuicState::begin(packet, reading.datagram, surplus)?;
        self.list.push(Entry { state, kept: T::default() });
        if let Some(Entry { state, kept }) = self.list.last_mut() {
            state.deliver(Side::Client, frames, reading, |given| receive(kept, given));
        }
        Ok(place)
    }
}
