//! A lane: the filter and the core of one part of a capture's flows.
//!
//! A replay deals its flows to a fixed number of lanes by their hash, and its threads share the
//! lanes. Whatever a lane does depends on its own packets alone, so the number of threads changes
//! nothing in what comes out.

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

use super::core::{Core, Limits, Now};
use super::engines::Engines;
use super::flows::UserFlows;
use super::stats::CoreStats;
use super::unwrap::{Unwrapper, Whole};
use crate::model::{EventHandler, Time};
use crate::packet::Packet;

/// One frame of a capture.
#[derive(Clone, Copy, Debug)]
pub struct CapturedFrame<'a> {
    /// Where its headers begin.
    pub start: ParseStart,
    /// Bytes and length on the wire.
    pub slice: SliceFrame<'a>,
    /// Time.
    pub time: Time,
    /// Interface, as a number of the capture.
    pub interface: u32,
    /// Capture point that the link header names; see [`crate::capture::LinkPayload::point`].
    pub point: u32,
    /// Number in the capture, from 1.
    pub number: u64,
}

impl CapturedFrame<'_> {
    /// What a hook would know of the frame. Each interface of a capture is a capture point, and so is each interface
    /// that a Linux cooked header names: such a capture has a packet twice if it was forwarded between two of them.
    pub(crate) fn info(&self) -> FrameInfo {
        FrameInfo { ifindex: self.interface << 16 ^ self.point, ..FrameInfo::default() }
    }
}

/// Flows without a connection that a lane may always hold.
const SPARE_FLOWS: usize = 64;

/// A lane of a replay.
pub struct Lane {
    flows: UserFlows,
    core: Core,
    counters: FilterCounters,
    work: Scratch,
    unwrapper: Unwrapper,
}

impl Lane {
    /// An empty lane.
    pub fn new(limits: &Limits) -> Self {
        Self::with_room(limits, limits.connections)
    }

    /// Creates an empty lane with a table of `room` connections. `limits` is its share of the limits of all lanes
    /// together.
    pub(crate) fn with_room(limits: &Limits, room: usize) -> Self {
        Self {
            // Flows outnumber connections only between two boundaries, see `trim_flows`.
            flows: UserFlows::with_capacity(room.saturating_mul(2)),
            core: Core::with_room(limits, room),
            counters: FilterCounters::default(),
            work: Scratch::default(),
            unwrapper: Unwrapper::default(),
        }
    }

    /// Judges a frame as the kernel would, and takes it if it is selected.
    pub fn frame(
        &mut self,
        frame: &CapturedFrame<'_>,
        filter_config: &FilterConfig,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        self.flows.set_time(frame.time);
        let info = frame.info();
        self.counters.seen += 1;
        match select(&frame.slice, frame.start, || info, &mut self.flows, filter_config, &mut self.work) {
            Verdict::Unselected(reason) => bump(&mut self.counters.unselected, reason as usize),
            Verdict::Unparseable(reason) => bump(&mut self.counters.unparseable, reason as usize),
            Verdict::Selected => {
                let selection = &self.work.selection;
                bump(&mut self.counters.selected, selection.class.into());
                let captured = frame.slice.bytes.len().min(selection.capture as usize);
                let header = RecordHeader::new(&info, selection, frame.time.0, captured as u32);
                bump(&mut self.counters.emitted, selection.class.into());
                let bytes = frame.slice.bytes.get(..captured).unwrap_or_default();
                let packet = Packet { header: &header, bytes, interface: frame.interface, number: Some(frame.number) };
                if header.class >= RecordClass::Fragment as u8 {
                    self.unwrapper.count_record();
                }
                if header.class == RecordClass::Nested as u8 {
                    self.unwrapper.open(
                        &packet,
                        frame.start,
                        filter_config,
                        &mut self.core,
                        &mut self.flows,
                        engines,
                        sink,
                    );
                } else if header.class != RecordClass::Fragment as u8 {
                    self.core.packet(&packet, &mut self.flows, engines, sink);
                }
            }
        }
    }

    /// Takes a datagram that was put together of fragments.
    pub(crate) fn whole(
        &mut self,
        whole: &Whole,
        filter_config: &FilterConfig,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        self.flows.set_time(whole.time);
        self.unwrapper.take(whole, filter_config, &mut self.core, &mut self.flows, engines, sink);
    }

    /// A second of event time has passed.
    pub fn tick(&mut self, now: Now, engines: &mut Engines, sink: &mut impl EventHandler) {
        self.core.tick(now, &mut self.flows, engines, sink);
        self.core.evict_idle(now, &mut self.flows, engines, sink);
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
    pub(crate) fn evict(&mut self, count: usize, now: Now, engines: &mut Engines, sink: &mut impl EventHandler) {
        self.core.evict(count, now, &mut self.flows, engines, sink);
    }

    /// Removes the filter's flows that have no connection, once they outnumber those that have one. The filter and the
    /// core add and remove a flow together, unless the core cannot decode what the filter has selected.
    pub(crate) fn trim_flows(&mut self) {
        let Self { flows, core, .. } = self;
        if flows.len() > 2 * core.connections() + SPARE_FLOWS {
            flows.retain(|hash, key| core.has_connection(hash, key));
        }
    }

    /// The capture is over.
    pub fn finish(&mut self, now: Now, engines: &mut Engines, sink: &mut impl EventHandler) {
        self.core.finish(now, &mut self.flows, engines, sink);
    }

    /// The filter's counters.
    pub fn counters(&self) -> &FilterCounters {
        &self.counters
    }

    /// The core's counters.
    pub fn stats(&self) -> CoreStats {
        let stats = self.core.stats().with(self.unwrapper.stats());
        CoreStats { fragments: self.unwrapper.defrag_stats(), ..stats }
    }
}

/// Where a frame belongs.
pub(crate) struct Destination {
    /// The lane of its flow. For frames without a flow, any lane does as long as it is always the same.
    pub(crate) lane: u32,
    /// Offset of the IP header, if the frame is a fragment.
    pub(crate) fragment: Option<usize>,
}

/// Finds where a frame belongs.
pub(crate) fn destination_of(frame: &CapturedFrame<'_>, filter_config: &FilterConfig, lanes: u32) -> Destination {
    let mut headers = PacketHeaders::default();
    let parsed = parse(&frame.slice, frame.start, &mut headers);
    let lane = match parsed {
        ParseOutcome::Transport => shard_of(headers.hash(filter_config.seed), lanes),
        ParseOutcome::Fragment | ParseOutcome::Nested => shard_of(headers.hash_of_addresses(filter_config.seed), lanes),
        _ => 0,
    };
    Destination { lane, fragment: (parsed == ParseOutcome::Fragment).then_some(headers.l3 as usize) }
}

fn bump(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}
