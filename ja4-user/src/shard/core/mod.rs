//! The straight line: one selected packet's way from its record to events.
//!
//! ```text
//!                      ┌ TCP ▶ opening (JA4T, JA4L, JA4LS, JA4TS) → ssh (JA4SSH) → stream ┐
//! decode → connection ─┤                                                         tls, http ▼ (JA4, JA4S, JA4X, JA4H) → end
//!                      └ UDP ▶ quic, dtls (JA4, JA4S, JA4X, JA4L, JA4LS), dhcp (JA4D, JA4D6)
//! ```
//! Nothing here reads a clock, takes a lock, does I/O or logs: time comes with the packet.

mod ends;

use std::collections::VecDeque;
use std::num::NonZeroU16;

use ja4_common::flow::{FlowEntry, FlowKey};
use ja4_common::reason::RecordClass;
use ja4_common::record::flag;
use ja4_common::verdict::LatencyPoint;

use super::engines::Engines;
use super::flows::UserFlows;
use super::opening::{observe_opening, tell_ja4ts};
use super::stage::Stage;
use super::stats::CoreStats;
use super::unfinished::tell_unfinished;
use crate::conntrack::connection::{Carried, Connection};
use crate::conntrack::latency::Latencies;
use crate::conntrack::method_counts::Told;
use crate::conntrack::tcp_handshake::Opening;
use crate::conntrack::{self, Budget, FlowTable, Keyed as _, SlotId};
use crate::model::{
    CommunityId, EndReason, EventContext, EventHandler, FlowIdentity, Method, OptTime, SharedAttributes, Side, Time,
};
use crate::packet::{self, Decoded, Packet, Segment, Transport};

/// How long an ended connection stays, nanoseconds: the last ACKs and a repeated FIN still belong to
/// it.
const LINGER: u64 = 2_000_000_000;

/// How long after the client's answer JA4TS waits for a SYN-ACK that was already on its way,
/// nanoseconds. The server's first payload ends the wait.
const ANSWER_GRACE: u64 = 1_000_000_000;

/// Part of the memory for what waits that stays free for the next packets: the oldest gives way before it is
/// spent, since what a full budget has refused is lost.
const SPARE: usize = 8;

/// Connections looked at for one packet where that part is touched. What a packet charges seldom takes more
/// than one to make up for; a longer one is made up for by the packets behind it.
const GIVING_WAY: usize = 16;

/// Entries that a queue may hold where a core's share of the connections is small.
const WAITING_AT_LEAST: usize = 1024;

/// Bounds of one core.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Time without a packet after which a connection is idle, nanoseconds.
    pub idle: u64,
    /// Bytes that may wait for missing segments.
    pub reassembly: usize,
    /// SSH packets of one JA4SSH.
    pub ssh_window: NonZeroU16,
}

/// A moment that no packet of the connection marks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time.
    pub time: Time,
    /// In a replay, the packet at which it is.
    pub packet: Option<u64>,
}

/// The filter's side of the flows: the kernel's map, or the table of a replay.
pub trait FlowLookup {
    /// The entry of a flow as it is now; times are nanoseconds since the Unix epoch.
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry>;
    /// Drops the entry of a flow that has ended.
    fn remove(&mut self, hash: u64, key: &FlowKey);
    /// Whether another capture point has seen the packet with this hash less than a second before `time`. If not, the
    /// packet is added to the table. See [`ja4_common::duplicate`].
    fn is_duplicate(&mut self, hash: u64, point: u32, time: Time) -> bool;
    /// Flows inside nested tunnels, which userspace filters itself.
    fn inner(&mut self) -> &mut UserFlows;
}

impl Limits {
    /// Bytes that may wait for missing segments, in a whole process: some ten thousand handshakes that
    /// each wait for one.
    pub const REASSEMBLY: usize = 64 << 20;
    /// Bytes that texts and the like may take, a connection on average: a TLS 1.2 server's certificate names,
    /// or an HTTP request's host and browser, fit with room to spare.
    const ATTRIBUTES: usize = 512;
    /// Bytes that they may take where there are few connections.
    const ATTRIBUTES_AT_LEAST: usize = 64 << 10;
    /// SSH packets of one JA4SSH (specification, section 8).
    pub const SSH_WINDOW: NonZeroU16 = crate::enrich::ssh_session::DEFAULT_WINDOW;
}

/// Connections of one shard and what is known of them.
pub struct Core {
    connections: FlowTable<Connection>,
    /// Ended connections by the time after which they go.
    lingering: VecDeque<(Time, u64, FlowKey)>,
    /// Answered openings by the time after which JA4TS is told.
    answered: VecDeque<(Time, u64, FlowKey)>,
    /// Connections with a message that is not whole, by the time since which.
    unfinished: VecDeque<(Time, u64, FlowKey)>,
    /// The slot behind the last one that [`Core::audit`] looked at.
    audited: usize,
    /// For what waits or is under way.
    budget: Budget,
    /// For what connections keep as long as they live.
    kept: Budget,
    bounds: conntrack::Limits,
    /// Entries that each queue may hold.
    waiting: usize,
    idle: u64,
    ssh_window: NonZeroU16,
    stats: CoreStats,
}

impl Core {
    /// An empty core.
    pub fn new(limits: &Limits) -> Self {
        Self::with_room(limits, limits.connections)
    }

    /// Creates an empty core with a table of up to `room` connections. `limits` is its share of the limits of several
    /// cores together: a core may have more connections than its share while others have fewer.
    pub(crate) fn with_room(limits: &Limits, room: usize) -> Self {
        Self {
            connections: FlowTable::with_capacity(room),
            lingering: VecDeque::new(),
            answered: VecDeque::new(),
            unfinished: VecDeque::new(),
            audited: 0,
            budget: Budget::new(limits.reassembly),
            kept: Budget::new(limits.connections.saturating_mul(Limits::ATTRIBUTES).max(Limits::ATTRIBUTES_AT_LEAST)),
            bounds: conntrack::Limits::default(),
            waiting: room.min(limits.connections.saturating_mul(2).saturating_add(WAITING_AT_LEAST)),
            idle: limits.idle,
            ssh_window: limits.ssh_window,
            stats: CoreStats::default(),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> CoreStats {
        CoreStats {
            connections: self.connections.len() as u64,
            held_bytes: self.budget.used() as u64,
            attribute_bytes: self.kept.used() as u64,
            ..self.stats
        }
    }

    /// Whether the low end of a known flow is its client.
    pub(crate) fn client_is_low(&self, hash: u64, key: &FlowKey) -> Option<bool> {
        self.connections.get(hash, key).map(|connection| !connection.client_is_high)
    }

    /// Takes one packet.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        self.stats.packets += 1;
        let decoded = match packet::decode(packet) {
            Ok(decoded) => decoded,
            Err(error) => return self.stats.count_undecodable(error),
        };
        if packet.header.flags & flag::RESTARTED != 0 {
            self.end_now(packet, &decoded.key, EndReason::Reused, engines, sink);
        }
        let slot = self.enter(packet, &decoded, lookup, engines, sink);
        let before = self.budget.used();
        self.read(packet, &decoded, slot, engines, sink);
        self.note_unfinished(slot, decoded.key, packet.cause().time, before);
        if self.budget.used() > self.budget.max() - self.budget.max() / SPARE {
            self.make_room(packet.cause(), engines, sink);
        }
    }

    /// Takes a packet of the connection at a place.
    fn read(
        &mut self,
        packet: &Packet<'_>,
        decoded: &Decoded<'_>,
        slot: SlotId,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        let Some(connection) = self.connections.touch_at(slot) else {
            return;
        };
        let side = if packet.header.flags & flag::FROM_CLIENT != 0 { Side::Client } else { Side::Server };
        let cause = packet.cause();
        connection.last = connection.last.max(cause.time);
        if packet.header.flags & flag::TRACKED != 0 {
            connection.counters = packet.header.counters;
        }
        let Self { bounds, budget, stats, .. } = self;
        let mut stage = Stage { side, cause, bounds, budget, engines, stats, sink };
        let segment = match &decoded.transport {
            Transport::Tcp(segment) => segment,
            Transport::Udp => {
                stage.datagrams(connection, packet.header, decoded);
                self.stats.refused_attribute_bytes += connection.charge_kept(&mut self.kept) as u64;
                return;
            }
        };
        observe_opening(connection, decoded, segment, packet.header.latency_point, &mut stage);
        let waits = packet.header.latency_point == LatencyPoint::FirstAck as u8 && connection.opening.is_some();
        connection.is_ssh |= packet.header.class == RecordClass::Ssh as u8;
        if Method::Ja4ssh.is_available() {
            if connection.is_ssh {
                stage.begin_ssh(connection, self.ssh_window);
            }
            stage.count_ssh(connection, decoded, segment, packet.header.gso_size);
        }
        if !decoded.payload.is_empty() && packet.header.flags & flag::HEADERS_ONLY == 0 {
            if side == Side::Server && !connection.opening.as_ref().is_some_and(Opening::awaits_ack) {
                // A server that sends payload has received the client's ACK.
                tell_ja4ts(connection, cause, stage.engines, stage.sink);
            }
            // A SYN's payload (TCP Fast Open, RFC 7413) follows it in sequence.
            let seq = segment.seq.wrapping_add(u32::from(segment.syn()));
            let is_http = packet.header.class == RecordClass::Http as u8;
            stage.stream(connection, seq, decoded.payload, packet.header.flags & flag::RESYNC != 0, is_http);
        }
        let ended = (segment.fin() || segment.rst()) && observe_end(connection, segment, side, cause, engines, sink);
        if decoded.payload_len > 0 {
            self.stats.refused_attribute_bytes += connection.charge_kept(&mut self.kept) as u64;
        }
        let hash = connection.hash;
        if ended {
            // A RST may be forged; what it seems to end is kept until it proves true.
            if connection.ended == Some(EndReason::Fin) {
                tell_unfinished(connection, cause, engines, &mut self.stats, &mut self.budget, sink);
                // Certificates of the last message may have come with that.
                self.stats.refused_attribute_bytes += connection.charge_kept(&mut self.kept) as u64;
                connection.release(&mut self.budget);
            }
            push_bounded(&mut self.lingering, cause.time, LINGER, hash, decoded.key, self.waiting);
        }
        if waits {
            push_bounded(&mut self.answered, cause.time, ANSWER_GRACE, hash, decoded.key, self.waiting);
        }
    }

    /// Notes since when a message of a connection is under way, where its packet has changed what is held:
    /// there were `before` bytes.
    fn note_unfinished(&mut self, slot: SlotId, key: FlowKey, now: Time, before: usize) {
        if self.budget.used() == before {
            return;
        }
        let Some(connection) = self.connections.at_mut(slot) else {
            return;
        };
        let hash = connection.hash;
        match (connection.is_unfinished(), connection.unfinished_since.is_known()) {
            (false, true) => connection.unfinished_since = OptTime::UNKNOWN,
            (true, false) if self.unfinished.len() < self.waiting => {
                connection.unfinished_since = now.into();
                self.unfinished.push_back((now, hash, key));
            }
            _ => {}
        }
    }

    /// Lets go of the messages that have been under way for longest: they are the least likely to become
    /// whole, and who fills the memory with such does not keep it.
    fn make_room(&mut self, cause: EventContext, engines: &mut Engines, sink: &mut impl EventHandler) {
        for _ in 0..GIVING_WAY {
            let Some((since, hash, key)) = self.unfinished.pop_front() else {
                return;
            };
            let Some(connection) = self.connections.get_mut(hash, &key) else {
                continue;
            };
            if connection.unfinished_since != since.into() {
                continue;
            }
            connection.unfinished_since = OptTime::UNKNOWN;
            self.stats.gave_way += 1;
            tell_unfinished(
                connection,
                EventContext { hook: None, ..cause },
                engines,
                &mut self.stats,
                &mut self.budget,
                sink,
            );
            connection.release_unfinished(&mut self.budget);
            self.stats.refused_attribute_bytes += connection.charge_kept(&mut self.kept) as u64;
            if self.budget.used() <= self.budget.max() - self.budget.max() / SPARE {
                return;
            }
        }
    }

    /// Forgets which connections had a message under way that have none now, where most may be such.
    fn forget_finished(&mut self) {
        if self.unfinished.len() > self.waiting / 2 {
            let connections = &self.connections;
            self.unfinished.retain(|(since, hash, key)| {
                connections.get(*hash, key).is_some_and(|connection| connection.unfinished_since == (*since).into())
            });
        }
    }

    /// The packet's connection; a new one where there is none.
    fn enter(
        &mut self,
        packet: &Packet<'_>,
        decoded: &Decoded<'_>,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) -> SlotId {
        let hash = packet.header.hash;
        if let Some(slot) = self.connections.find(hash, &decoded.key) {
            return slot;
        }
        self.stats.opened += 1;
        let inserted = self.connections.insert(hash, meet(packet, decoded));
        if let Some(mut evicted) = inserted.displaced {
            let cause = EventContext { hook: None, ..packet.cause() };
            lookup.remove(evicted.hash, &evicted.key());
            evicted.ended.get_or_insert(EndReason::Evicted);
            self.tell_end(&mut evicted, cause, engines, sink);
            self.stats.count_ended(EndReason::Evicted);
        }
        inserted.id
    }
}

/// Has a connection looked at again after a while. Where too many wait already, it goes by idle time
/// instead.
fn push_bounded(
    queue: &mut VecDeque<(Time, u64, FlowKey)>,
    time: Time,
    after: u64,
    hash: u64,
    key: FlowKey,
    bound: usize,
) {
    if queue.len() < bound {
        queue.push_back((Time(time.0.saturating_add(after)), hash, key));
    }
}

/// A connection of which this is the first packet.
fn meet(packet: &Packet<'_>, decoded: &Decoded<'_>) -> Connection {
    let flags = packet.header.flags;
    let from_client = flags & flag::FROM_CLIENT != 0;
    let from_high = flags & flag::FROM_HIGH != 0;
    let (client, server) = if from_client { (decoded.src, decoded.dst) } else { (decoded.dst, decoded.src) };
    let client_seq = match &decoded.transport {
        Transport::Tcp(segment) if from_client && segment.syn() => segment.seq,
        _ => 0,
    };
    Connection {
        identity: FlowIdentity {
            id: identify(&decoded.key, client_seq),
            community: CommunityId::of(client, server, decoded.key.proto),
            client,
            server,
            proto: decoded.key.proto,
            vlan: decoded.vlan,
        },
        hash: packet.header.hash,
        client_is_high: from_client == from_high,
        interface: packet.interface,
        start: Time(packet.header.time),
        last: Time(packet.header.time),
        counters: packet.header.counters,
        first_seq: [None; 2],
        read: [None; 2],
        halves: [None, None],
        carried: Carried::Nothing,
        is_ssh: false,
        sealed: false,
        surplus: false,
        acks: [0; 2],
        latencies: Latencies::default(),
        attributes: SharedAttributes::default(),
        charged: 0,
        opening: None,
        told: Told::default(),
        finished: [false; 2],
        unfinished_since: OptTime::UNKNOWN,
        ended: None,
    }
}

/// A number for the flow that is the same live and in a capture of it, below 2^53.
fn identify(key: &FlowKey, client_seq: u32) -> u64 {
    /// Any fixed numbers do: nothing hangs on guessing them.
    const SEED: [u64; 2] = [0x6a34_7365_6e73_6f72, 0x666c_6f77_5f69_6400];
    let seed = [SEED[0] ^ u64::from(client_seq), SEED[1]];
    key.hash(seed) >> 11
}

/// Notes a FIN or RST; whether the connection has ended with it.
fn observe_end(
    connection: &mut Connection,
    segment: &Segment<'_>,
    side: Side,
    cause: EventContext,
    engines: &mut Engines,
    sink: &mut impl EventHandler,
) -> bool {
    if segment.fin()
        && let Some(finished) = connection.finished.get_mut(side as usize)
    {
        *finished = true;
    }
    if segment.rst()
        && side == Side::Server
        && let Some(opening) = &mut connection.opening
    {
        opening.on_server_reset(cause.time);
    }
    if connection.ended.is_some() {
        return false;
    }
    connection.ended = if segment.rst() {
        Some(EndReason::Rst)
    } else if connection.finished == [true, true] {
        Some(EndReason::Fin)
    } else {
        None
    };
    if connection.ended.is_some() {
        tell_ja4ts(connection, cause, engines, sink);
    }
    connection.ended.is_some()
}
