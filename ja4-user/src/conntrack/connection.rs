//! The state of one connection in a shard.

use std::mem;

use ja4_common::flow::{FlowCounters, FlowEntry, FlowKey, seen};
use ja4_common::headers::PROTO_TCP;
use ja4_common::record::flag;

use super::app_state::AppState;
use super::budget::Budget;
use super::direction_stream::{DirectionStream, ReadRange};
use super::flow_table::Keyed;
use super::latency::Latencies;
use super::method_counts::MethodCounts;
use super::session::Session;
use super::tcp_handshake::TcpHandshake;
use crate::model::{CommunityId, ConnectionRecord, EndReason, FlowIdentity, Method, OptTime, PerSide, Side, Time};
use crate::packet::{Decoded, Packet, TransportHeader, flow_key};

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<A: AppState> {
    /// What is known of it, as reported.
    pub record: ConnectionRecord,
    /// The flow's hash in the filter.
    pub hash: u64,
    /// Whether the client is the high end of the key.
    pub client_is_high: bool,
    /// Sequence number of each side's first payload byte, once its SYN was seen.
    pub first_seq: PerSide<Option<u32>>,
    /// What was parsed of each side's last stream, once that has ended: the same bytes again are retransmissions.
    pub read_ranges: PerSide<Option<ReadRange>>,
    /// Each side's byte stream.
    pub streams: PerSide<Option<Box<DirectionStream<A::Parser>>>>,
    /// State of its protocols besides byte streams.
    pub app_state: A,
    /// Whether the filter has recognized SSH.
    pub is_ssh: bool,
    /// Whether everything after the ServerHello is encrypted, as in TLS 1.3.
    pub encrypted: bool,
    /// Whether it is over the limit of handshakes per flow: its ClientHello is not fingerprinted.
    pub over_limit: bool,
    /// Latencies, and the points in time that they are computed from.
    pub latencies: Latencies,
    /// Bytes charged to the attribute budget.
    pub attribute_bytes: usize,
    /// The TCP handshake, until its fingerprints are emitted.
    pub tcp_handshake: Option<TcpHandshake>,
    /// Number of emitted fingerprints of each method.
    pub counts: MethodCounts,
    /// Whether each side has sent FIN.
    pub finished: PerSide<bool>,
    /// Since when a message is incomplete.
    pub incomplete_since: OptTime,
    /// How it ended, once it has.
    pub ended: Option<EndReason>,
}

impl<A: AppState> Keyed for Connection<A> {
    fn key(&self) -> FlowKey {
        flow_key(self.record.identity.client, self.record.identity.server, self.record.identity.proto)
    }
}

/// A flow's number, below 2^53: the same live and in a capture of the flow.
pub(super) fn flow_id(key: &FlowKey, client_seq: u32) -> u64 {
    /// Fixed, as nothing depends on the number being hard to guess.
    const SEED: [u64; 2] = [0x6a34_7365_6e73_6f72, 0x666c_6f77_5f69_6400];
    let seed = [SEED[0] ^ u64::from(client_seq), SEED[1]];
    key.hash(seed) >> 11
}

impl<A: AppState> Connection<A> {
    /// The connection of a flow's first packet.
    pub(crate) fn new(packet: &Packet<'_>, decoded: &Decoded<'_>) -> Self {
        let flags = packet.header.flags;
        let from_client = flags & flag::FROM_CLIENT != 0;
        let from_high = flags & flag::FROM_HIGH != 0;
        let (client, server) = if from_client { (decoded.src, decoded.dst) } else { (decoded.dst, decoded.src) };
        let client_seq = match &decoded.transport {
            TransportHeader::Tcp(segment) if from_client && segment.syn() => segment.seq,
            _ => 0,
        };
        let identity = FlowIdentity {
            id: flow_id(&decoded.key, client_seq),
            community: CommunityId::of(client, server, decoded.key.proto),
            client,
            server,
            proto: decoded.key.proto,
            vlan: decoded.vlan,
        };
        let record = ConnectionRecord::new(&identity, packet.interface, Time(packet.header.time));
        let mut connection = Self::of_record(record, packet.header.hash, from_client == from_high);
        connection.set_counters(packet.header.counters);
        connection
    }

    /// A connection without any state besides its record.
    pub(super) fn of_record(record: ConnectionRecord, hash: u64, client_is_high: bool) -> Self {
        Self {
            record,
            hash,
            client_is_high,
            first_seq: PerSide::default(),
            read_ranges: PerSide::default(),
            streams: PerSide::default(),
            app_state: A::default(),
            is_ssh: false,
            encrypted: false,
            over_limit: false,
            latencies: Latencies::default(),
            attribute_bytes: 0,
            tcp_handshake: None,
            counts: MethodCounts::default(),
            finished: PerSide::default(),
            incomplete_since: OptTime::UNKNOWN,
            ended: None,
        }
    }

    /// Completes a connection without a SYN by the filter's entry, which has the numbers of SYN and SYN-ACK.
    pub(crate) fn restore_client_syn(&mut self, entry: &FlowEntry) {
        self.restore_isns(entry);
        if let Some(first) = self.first_seq.client {
            self.record.identity.id = flow_id(&entry.key, first.wrapping_sub(1));
        }
    }

    /// Sets the first sequence numbers that are not known from the filter's entry.
    pub(crate) fn restore_isns(&mut self, entry: &FlowEntry) {
        let (client, server) = if self.client_is_high { (&entry.high, &entry.low) } else { (&entry.low, &entry.high) };
        for (side, direction) in [(Side::Client, client), (Side::Server, server)] {
            if direction.seen & seen::ISN != 0 {
                self.first_seq[side].get_or_insert(direction.isn.wrapping_add(1));
            }
        }
    }

    /// Whether the start of a side's stream is unknown, and no stream of it has started.
    pub(crate) fn needs_isn(&self, side: Side) -> bool {
        self.first_seq[side].is_none() && self.streams[side].is_none() && self.read_ranges[side].is_none()
    }

    /// Allows methods that are emitted once to be emitted again, as another connection has begun on the same ports.
    pub(crate) fn reset_emitted(&mut self, methods: &[Method]) {
        methods.iter().for_each(|method| self.counts.reset(*method));
    }

    /// Whether a fingerprint of the method was emitted.
    pub(crate) fn already_emitted(&self, method: Method) -> bool {
        self.counts.get(method) > 0
    }

    /// Sets packets and bytes, as counted by the filter.
    pub(crate) fn set_counters(&mut self, FlowCounters { packets, bytes }: FlowCounters) {
        let ([low, high], [low_bytes, high_bytes]) = (packets, bytes);
        (self.record.packets, self.record.bytes) = if self.client_is_high {
            ([high, low].into(), [high_bytes, low_bytes].into())
        } else {
            ([low, high].into(), [low_bytes, high_bytes].into())
        };
    }

    /// Packets and bytes, as counted by the filter.
    pub(crate) fn counters(&self) -> FlowCounters {
        let (low, high) = if self.client_is_high { (Side::Server, Side::Client) } else { (Side::Client, Side::Server) };
        let ConnectionRecord { packets, bytes, .. } = &self.record;
        FlowCounters { packets: [packets[low], packets[high]], bytes: [bytes[low], bytes[high]] }
    }

    /// Ends one side's stream, and returns its memory to the budget. Only a hello begins another one.
    pub(crate) fn close_stream(&mut self, side: Side, budget: &mut Budget) {
        if let Some(mut stream) = self.streams[side].take() {
            stream.clear(budget);
            self.read_ranges[side] = Some(stream.read_range());
        }
    }

    /// Makes a session the one that is parsed.
    pub(crate) fn activate(&mut self, session: &mut Session, client_is_high: bool) {
        if self.client_is_high != client_is_high {
            self.swap_endpoints();
        }
        self.swap_session(session);
    }

    /// Reverts [`activate`](Self::activate). `client_was_high`: which end was the client before. Over TCP, the client stays
    /// the end that opened the connection.
    pub(crate) fn deactivate(&mut self, session: &mut Session, client_was_high: bool) {
        self.swap_session(session);
        if self.is_tcp() && self.client_is_high != client_was_high {
            self.swap_endpoints();
        }
    }

    fn is_tcp(&self) -> bool {
        self.record.identity.proto == PROTO_TCP
    }

    /// Swaps the state of the connection with that of a session. Over TCP, latencies and the numbers of fingerprints stay
    /// those of the connection.
    pub(crate) fn swap_session(&mut self, session: &mut Session) {
        let attributes = &mut *self.record.attributes;
        mem::swap(&mut attributes.tls, &mut session.tls);
        mem::swap(&mut attributes.quic, &mut session.quic);
        mem::swap(&mut self.encrypted, &mut session.encrypted);
        mem::swap(&mut self.over_limit, &mut session.over_limit);
        if !self.is_tcp() {
            mem::swap(&mut self.latencies, &mut session.latencies);
            mem::swap(&mut self.counts, &mut session.counts);
        }
    }

    /// Activates the session that the connection's end reports: the last one that was answered, else the last one.
    pub(crate) fn finalize(&mut self) {
        let mut state = mem::take(&mut self.app_state);
        if let Some((session, high)) = state.sessions_mut().max_by_key(|(session, _)| session.relevance()) {
            let before = self.client_is_high;
            self.activate(session, high);
            if self.is_tcp() && self.client_is_high != before {
                self.swap_endpoints();
            }
        }
        self.app_state = state;
    }

    /// Calls `read` with the record as it would be reported if the connection ended now.
    pub(crate) fn read_record<R>(&mut self, read: impl FnOnce(&mut ConnectionRecord) -> R) -> R {
        let mut state = mem::take(&mut self.app_state);
        let result = match state.sessions_mut().max_by_key(|(session, _)| session.relevance()) {
            Some((session, high)) => {
                let before = self.client_is_high;
                self.activate(session, high);
                let result = read(&mut self.record);
                self.deactivate(session, before);
                if self.client_is_high != before {
                    self.swap_endpoints();
                }
                result
            }
            None => read(&mut self.record),
        };
        self.app_state = state;
        result
    }

    fn swap_endpoints(&mut self) {
        self.record.swap_endpoints();
        self.client_is_high = !self.client_is_high;
    }

    /// Whether the server has sent its ServerHello.
    pub(crate) fn is_answered(&self) -> bool {
        self.record.attributes.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
    }

    /// Whether a message of either side is incomplete, or bytes are buffered until missing ones arrive.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.streams.iter().any(|(_, stream)| stream.as_ref().is_some_and(|stream| stream.is_incomplete()))
            || self.app_state.incomplete() > 0
    }

    /// Drops incomplete messages. Everything else continues.
    pub(crate) fn drop_incomplete(&mut self, budget: &mut Budget) {
        for side in [Side::Client, Side::Server] {
            if self.streams[side].as_ref().is_some_and(|stream| stream.is_incomplete()) {
                self.close_stream(side, budget);
            }
        }
        self.app_state.drop_incomplete(budget);
    }

    /// Returns all buffered memory to the budget.
    pub(crate) fn release(&mut self, budget: &mut Budget) {
        self.close_stream(Side::Client, budget);
        self.close_stream(Side::Server, budget);
        self.app_state.clear(budget);
    }
}
