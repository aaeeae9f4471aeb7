//! A lane: the filter and the core for one part of a capture's flows.
//!
//! A replay assigns its flows to a fixed number of lanes by their hash, and its threads share the lanes. A lane's output depends
//! only on its own packets, so it is the same for every number of threads.

use ja4_common::bytes::SliceFrame;
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::shard_of;
use ja4_common::headers::PacketHeaders;
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::reason::RecordClass;
use ja4_common::record::{FrameInfo, RecordHeader};
use ja4_common::select::{Scratch, select};
use ja4_common::verdict::Verdict;

use super::core::Core;
use super::decap::{DecapTarget, Decapsulator};
use super::env::{ShardBuffers, ShardEnv};
use super::limits::{Now, ShardLimits};
use super::reassembled::ReassembledDatagram;
use super::stats::ShardStats;
use super::user_flows::UserFlows;
use crate::model::{EventHandler, Time, VlanTags};
use crate::packet::Packet;

/// One frame of a capture.
#[derive(Clone, Copy, Debug)]
pub struct CapturedFrame<'a> {
    /// Start of its headers.
    pub start: ParseStart,
    /// Bytes and length on the wire.
    pub slice: SliceFrame<'a>,
    /// Capture time.
    pub time: Time,
    /// Interface number in the capture.
    pub interface: u32,
    /// Capture point that the link header names; see `LinkPayload` in capture/.
    pub point: u32,
    /// Number in the capture, from 1.
    pub number: u64,
}

impl CapturedFrame<'_> {
    /// The frame's metadata as a hook has them. Each interface of a capture is a capture point, and so is each interface in a Linux
    /// cooked header: such a capture has a packet twice if it was forwarded between two of them.
    pub(crate) fn info(&self) -> FrameInfo {
        FrameInfo { ifindex: self.interface << 16 ^ self.point, ..FrameInfo::default() }
    }

    /// The packet of its record.
    pub(crate) fn packet<'a>(&self, header: &'a RecordHeader) -> Packet<'a>
    where
        Self: 'a,
    {
        let bytes = self.slice.bytes.get(..header.captured as usize).unwrap_or_default();
        let Self { start, interface, number, .. } = *self;
        Packet { header, bytes, start, outer_vlan: None, interface, number: Some(number) }
    }
}

/// Flows without a connection that a lane may always have.
const SPARE_FLOWS: usize = 64;

/// A lane of a replay.
pub struct Lane {
    flows: UserFlows,
    core: Core,
    counters: FilterCounters,
    scratch: Scratch,
    decapsulator: Decapsulator,
}

impl Lane {
    /// An empty lane.
    pub fn new(limits: &ShardLimits) -> Self {
        Self::with_capacity(limits, limits.connections)
    }

    /// An empty lane with a table of up to `capacity` connections. `limits` is its share of the limits of all lanes together.
    pub(crate) fn with_capacity(limits: &ShardLimits, capacity: usize) -> Self {
        Self {
            // Flows outnumber connections only between two boundaries, see `trim_flows`.
            flows: UserFlows::with_capacity(capacity.saturating_mul(2)),
            core: Core::with_capacity(limits, capacity),
            counters: FilterCounters::default(),
            scratch: Scratch::default(),
            decapsulator: Decapsulator::default(),
        }
    }

    /// Filters a frame as the kernel would, and processes it if it is selected. Returns the header of its record then.
    pub fn frame(
        &mut self,
        frame: &CapturedFrame<'_>,
        config: &FilterConfig,
        buffers: &mut ShardBuffers,
        events: &mut impl EventHandler,
    ) -> Option<RecordHeader> {
        self.flows.set_time(frame.time);
        let info = frame.info();
        self.counters.seen += 1;
        match select(&frame.slice, frame.start, || info, &mut self.flows, config, &mut self.scratch) {
            Verdict::Unselected(reason) => {
                increment(&mut self.counters.unselected, reason as usize);
                return None;
            }
            Verdict::Unparseable(reason) => {
                increment(&mut self.counters.unparseable, reason as usize);
                return None;
            }
            Verdict::Selected => {}
        }
        let selection = &self.scratch.selection;
        increment(&mut self.counters.selected, selection.class.into());
        let captured = frame.slice.bytes.len().min(selection.capture as usize);
        let header = RecordHeader::new(&info, selection, frame.time.0, captured as u32);
        increment(&mut self.counters.emitted, selection.class.into());
        let packet = frame.packet(&header);
        if header.class >= RecordClass::Fragment as u8 {
            self.decapsulator.count_record();
        }
        let env = &mut ShardEnv { flows: &mut self.flows, buffers, events };
        if header.class == RecordClass::Nested as u8 {
            let target = &mut DecapTarget { config, core: &mut self.core, env };
            self.decapsulator.open(&packet, frame.start, target);
        } else if header.class != RecordClass::Fragment as u8 {
            self.core.packet(&packet, env);
        }
        Some(header)
    }

    /// Processes a reassembled datagram.
    pub(crate) fn datagram(
        &mut self,
        datagram: &ReassembledDatagram,
        config: &FilterConfig,
        buffers: &mut ShardBuffers,
        events: &mut impl EventHandler,
    ) {
        self.flows.set_time(datagram.time);
        let env = &mut ShardEnv { flows: &mut self.flows, buffers, events };
        self.decapsulator.datagram(datagram, &mut DecapTarget { config, core: &mut self.core, env });
    }

    /// Handles timers and idle connections; called once a second of event time.
    pub fn tick(&mut self, now: Now, buffers: &mut ShardBuffers, events: &mut impl EventHandler) {
        let env = &mut ShardEnv { flows: &mut self.flows, buffers, events };
        self.core.tick(now, env);
        self.core.evict_idle(now, env);
    }

    /// Connections of the lane.
    pub(crate) fn connections(&self) -> usize {
        self.core.connections()
    }

    /// Flows of the lane's filter.
    #[cfg(test)]
    pub(crate) fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Times of the last packets of all connections, the least recently used connection first.
    pub(crate) fn last_times(&self) -> impl Iterator<Item = Time> {
        self.core.last_times()
    }

    /// Evicts the `count` least recently used connections.
    pub(crate) fn evict(&mut self, count: usize, now: Now, buffers: &mut ShardBuffers, events: &mut impl EventHandler) {
        self.core.evict(count, now, &mut ShardEnv { flows: &mut self.flows, buffers, events });
    }

    /// Removes the filter's flows that have no connection, once they outnumber those that have one. The filter and the
    /// core add and remove a flow together, unless the core cannot decode a packet that the filter has selected.
    pub(crate) fn trim_flows(&mut self) {
        let Self { flows, core, .. } = self;
        if flows.len() > 2 * core.connections() + SPARE_FLOWS {
            flows.retain(|hash, key| core.has_connection(hash, key));
        }
    }

    /// Closes all connections: the capture has ended.
    pub fn finish(&mut self, now: Now, buffers: &mut ShardBuffers, events: &mut impl EventHandler) {
        self.core.finish(now, &mut ShardEnv { flows: &mut self.flows, buffers, events });
        self.flows.free();
    }

    /// The filter's counters.
    pub fn counters(&self) -> &FilterCounters {
        &self.counters
    }

    /// The shard's counters.
    pub fn stats(&self) -> ShardStats {
        let stats = self.core.stats().with(self.decapsulator.stats());
        ShardStats { fragments: self.decapsulator.defrag_stats(), ..stats }
    }
}

/// The lane of a frame.
pub(crate) struct Destination {
    /// The lane of its flow; the same one for all frames without a flow.
    pub(crate) lane: u32,
    /// Offset of the IP header, if the frame is a fragment.
    pub(crate) fragment: Option<usize>,
    /// VLAN tags of the frame.
    pub(crate) tags: VlanTags,
}

/// Finds the lane of a frame.
pub(crate) fn destination_of(frame: &CapturedFrame<'_>, config: &FilterConfig, lanes: u32) -> Destination {
    let mut headers = PacketHeaders::default();
    let parsed = parse(&frame.slice, frame.start, &config.tunnel_ports, &mut headers);
    let lane = match parsed {
        ParseOutcome::Transport => shard_of(headers.hash(config.seed), lanes),
        ParseOutcome::Fragment | ParseOutcome::Nested => shard_of(headers.hash_of_addresses(config.seed), lanes),
        _ => 0,
    };
    let fragment = (parsed == ParseOutcome::Fragment).then_some(headers.l3 as usize);
    Destination { lane, fragment, tags: headers.tags }
}

fn increment(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}
