//! The connections of one flow, and the assignment of packets to them.

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::quic::{ConnectionId, LongPacket, PacketKeys, PacketKind, Packets};

use super::buffers::QuicBuffers;
use super::outcome::{QuicMessage, QuicOutcome};
use super::state::{DatagramCtx, QuicState};
use crate::conntrack::Budget;
use crate::model::{Side, Time};
use crate::protocol::datagram::UdpDatagram;

/// Connections of one flow at once. Libraries that use one socket for all connections of a client (quic-go, msquic) open one
/// to a server, and another while that one migrates or fails; the others are for forged ones. A packet that belongs to none is
/// decrypted with the keys of each.
pub const MAX_CONNECTIONS: usize = 8;

/// Time after which a connection with a missing hello may be evicted, nanoseconds: clients give up a handshake after ten
/// seconds or less (Chromium 10, quic-go 5).
const HANDSHAKE_TIMEOUT: u64 = 10_000_000_000;

/// The connections of one flow, each with data of the caller, a `T`.
///
/// At the limit, the oldest connection that is done is evicted, or else the oldest after ten seconds. If there is neither,
/// the new one replaces the last that is not answered, and is marked as over the limit: a sender of many Initials does not
/// hide the server's answer to the first ones, nor to the last one, and the caller need not report all of them.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub struct QuicConnections<T> {
    /// In the order in which they began.
    list: Vec<QuicEntry<T>>,
}

/// A connection and the data of the caller.
#[derive(Debug)]
pub struct QuicEntry<T> {
    /// The connection.
    pub state: QuicState,
    /// The data of the caller.
    pub data: T,
}

impl<T> Default for QuicConnections<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<T> QuicConnections<T> {
    /// All of them, in the order in which they began.
    pub fn iter(&self) -> impl Iterator<Item = &QuicEntry<T>> {
        self.list.iter()
    }

    /// All of them, in the order in which they began.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut QuicEntry<T>> {
        self.list.iter_mut()
    }

    /// The one at an index from [`QuicOutcome::connection`], until the next datagram.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut QuicEntry<T>> {
        self.list.get_mut(index)
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub fn close(&mut self, budget: &mut Budget) {
        self.list.iter_mut().for_each(|entry| entry.state.close(budget));
    }

    /// Ends the sides with an incomplete message, of all connections.
    pub(crate) fn drop_incomplete(&mut self, budget: &mut Budget) {
        self.list.iter_mut().for_each(|entry| entry.state.drop_incomplete(budget));
    }

    /// Number of sides with an incomplete message or a gap.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        self.list.iter().map(|entry| entry.state.incomplete()).sum()
    }

    /// The last connection for which `fits` returns true.
    fn last(&self, fits: impl Fn(&QuicState) -> bool) -> Option<usize> {
        self.list.iter().rposition(|entry| fits(&entry.state))
    }

    /// Handles a Retry of the server.
    fn retry(&mut self, packet: &LongPacket<'_>, from_high: bool) {
        let fits = |state: &QuicState| state.side(from_high) == Side::Server && state.may_retry(packet.dcid);
        // Clients with an empty connection ID get theirs in the order of their first Initials.
        let first = self.list.iter().position(|entry| fits(&entry.state) && !entry.state.has_retried());
        if let Some(entry) = first.or_else(|| self.last(fits)).and_then(|index| self.list.get_mut(index))
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
            [QuicEntry { state, .. }] if state.side(from_high) == Side::Client && state.is_client(packet.scid) => {
                Some(0)
            }
            _ => None,
        }
    }

    /// The connection of a Handshake packet: by its connection ID, else the last one with an unknown server, else the only
    /// one.
    fn of_handshake(&self, packet: &LongPacket<'_>, from_high: bool) -> Option<usize> {
        let named = |state: &QuicState| {
            let id = if state.side(from_high) == Side::Client { packet.dcid } else { packet.scid };
            state.server().is_some_and(|server| server.as_bytes() == id)
        };
        let unnamed = || self.last(|state| state.server().is_none());
        self.last(named).or_else(unnamed).or_else(|| self.only(packet, from_high))
    }

    /// Evicts a connection if there are as many as allowed. Returns whether the next one is over the limit.
    fn evict(&mut self, now: Time, outcome: &mut QuicOutcome, budget: &mut Budget) -> bool {
        if self.list.len() < MAX_CONNECTIONS {
            return false;
        }
        let has_expired = |entry: &QuicEntry<T>| {
            let (first, _) = entry.state.first_initial();
            now.0.saturating_sub(first.0) >= HANDSHAKE_TIMEOUT
        };
        let done = self.list.iter().position(|entry| entry.state.is_done());
        let evictable = done.or_else(|| self.list.iter().position(has_expired));
        let unanswered = || self.last(|state| state.server().is_none());
        let index = evictable.or_else(unanswered).unwrap_or(MAX_CONNECTIONS - 1);
        let mut evicted = self.list.remove(index);
        outcome.evicted_messages += evicted.state.incomplete();
        evicted.state.close(budget);
        evictable.is_none()
    }
}

impl<T: Default> QuicConnections<T> {
    /// Parses a datagram, and calls `receive` for each handshake message that it completes, with the data of its connection.
    ///
    /// If `receive` breaks after a message, that side is done: its buffered bytes are dropped, and its later Initials are not
    /// decrypted.
    pub fn push<R>(
        &mut self,
        buffers: &mut QuicBuffers,
        datagram: &UdpDatagram<'_>,
        budget: &mut Budget,
        mut receive: R,
    ) -> QuicOutcome
    where
        R: FnMut(&mut T, QuicMessage<'_>) -> ControlFlow<()>,
    {
        let mut outcome = QuicOutcome::default();
        let mut cx = DatagramCtx { buffers, budget, datagram, outcome: &mut outcome };
        for packet in Packets::new(datagram.payload, datagram.wire_len) {
            if let Err(error) = packet.and_then(|packet| self.packet(&packet, &mut cx, &mut receive)) {
                cx.outcome.count(error);
            }
        }
        if let Some(entry) = outcome.connection.and_then(|index| self.list.get(index)) {
            outcome.from = Some(entry.state.side(datagram.from_high));
        }
        outcome
    }

    fn packet<R>(&mut self, packet: &LongPacket<'_>, cx: &mut DatagramCtx<'_>, receive: &mut R) -> Result<(), WireError>
    where
        R: FnMut(&mut T, QuicMessage<'_>) -> ControlFlow<()>,
    {
        let from_high = cx.datagram.from_high;
        match packet.kind {
            PacketKind::Initial => {
                let index = self.initial(packet, cx, receive)?;
                cx.outcome.has_initial |= *cx.outcome.connection.get_or_insert(index) == index;
            }
            PacketKind::Handshake => {
                if let Some(index) = self.of_handshake(packet, from_high) {
                    cx.outcome.has_handshake |= *cx.outcome.connection.get_or_insert(index) == index;
                }
            }
            PacketKind::Retry => self.retry(packet, from_high),
            PacketKind::ZeroRtt | PacketKind::VersionNegotiation => {}
            PacketKind::Unknown => return Err(WireError::Unsupported),
        }
        Ok(())
    }

    /// Finds or begins the connection of an Initial, and parses it.
    fn initial<R>(
        &mut self,
        packet: &LongPacket<'_>,
        cx: &mut DatagramCtx<'_>,
        receive: &mut R,
    ) -> Result<usize, WireError>
    where
        R: FnMut(&mut T, QuicMessage<'_>) -> ControlFlow<()>,
    {
        let (to, from) = (ConnectionId::try_from(packet.dcid)?, ConnectionId::try_from(packet.scid)?);
        let from_high = cx.datagram.from_high;
        let is_client = |state: &QuicState| state.side(from_high) == Side::Client;
        let is_server = |state: &QuicState| !is_client(state);

        // The destination of a client's Initial is the ID that it chose, or the server's.
        let named = self.last(|state| is_client(state) && state.is_initial_destination(to));
        if let Some(index) = named.or_else(|| self.last(|state| is_client(state) && state.server() == Some(to))) {
            return self.parse(index, Side::Client, packet, cx, receive).map(|()| index);
        }
        // A server's Initial belongs to the connection with the keys that decrypt it.
        for index in (0..self.list.len()).rev() {
            let may_be = |state: &QuicState| {
                is_server(state) && state.awaits(Side::Server) && state.server().is_none_or(|server| server == from)
            };
            if self.list.get(index).is_some_and(|entry| may_be(&entry.state))
                && self.parse(index, Side::Server, packet, cx, receive).is_ok()
            {
                return Ok(index);
            }
        }
        // A further Initial of a server that is done.
        if let Some(index) = self.last(|state| is_server(state) && state.server() == Some(from)) {
            return Ok(index);
        }
        let failure = match self.begin(packet, cx, receive) {
            Ok(index) => return Ok(index),
            Err(failure) => failure,
        };
        // A client's Initial to the ID of a server, if that server's Initial was not seen.
        for index in (0..self.list.len()).rev() {
            if self.list.get(index).is_some_and(|entry| is_client(&entry.state) && entry.state.awaits(Side::Client))
                && self.parse(index, Side::Client, packet, cx, receive).is_ok()
            {
                return Ok(index);
            }
        }
        let assumed = self.last(|state| is_client(state) && !state.awaits(Side::Client) && state.server().is_none());
        if let Some(index) = assumed.filter(|_| failure == WireError::Unauthenticated)
            && let Some(entry) = self.list.get_mut(index)
        {
            // Later Initials will have the same destination.
            entry.state.assume_server(to);
            return Ok(index);
        }
        // To another ID of a known server.
        let is_done = |index: &usize| self.list.get(*index).is_some_and(|entry| !entry.state.awaits(Side::Client));
        let moved = self.only(packet, from_high).filter(is_done);
        moved.filter(|_| failure == WireError::Unauthenticated).ok_or(failure)
    }

    /// Parses an Initial of a side of the connection at this index.
    fn parse<R>(
        &mut self,
        index: usize,
        side: Side,
        packet: &LongPacket<'_>,
        cx: &mut DatagramCtx<'_>,
        receive: &mut R,
    ) -> Result<(), WireError>
    where
        R: FnMut(&mut T, QuicMessage<'_>) -> ControlFlow<()>,
    {
        let Some(QuicEntry { state, data }) = self.list.get_mut(index) else {
            return Ok(());
        };
        state.initial(side, packet, cx, |message| receive(data, message))
    }

    /// Begins the connection of a client's Initial, if it is one.
    fn begin<R>(
        &mut self,
        packet: &LongPacket<'_>,
        cx: &mut DatagramCtx<'_>,
        receive: &mut R,
    ) -> Result<usize, WireError>
    where
        R: FnMut(&mut T, QuicMessage<'_>) -> ControlFlow<()>,
    {
        if cx.outcome.connection.is_some() {
            // The packets of a datagram belong to one connection.
            return Err(WireError::Unauthenticated);
        }
        let keys = PacketKeys::client(packet.version, packet.dcid)?;
        let frames = cx.buffers.open(&keys, packet)?;
        let over_limit = self.evict(cx.datagram.time, cx.outcome, cx.budget);
        let index = self.list.len();
        let state = QuicState::begin(packet, keys, cx.datagram, over_limit)?;
        self.list.push(QuicEntry { state, data: T::default() });
        if let Some(QuicEntry { state, data }) = self.list.last_mut() {
            state.deliver(Side::Client, frames, cx, |message| receive(data, message));
        }
        Ok(index)
    }
}
