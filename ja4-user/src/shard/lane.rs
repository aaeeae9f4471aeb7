//! A lane: the filter and the core of one part of a capture's flows.
//!
//! A replay deals its flows to a fixed number of lanes by their hash, and its threads share the
//! lanes. Whatever a lane does depends on its own packets alone, so the number of threads changes
//! nothing in what comes out.

use ja4_common::Slice;
use ja4_common::counter::Counters;
use ja4_common::flow::{Direction, FlowEntry, FlowKey, Flows, shard_of};
use ja4_common::headers::Start;
use ja4_common::knobs::Knobs;
use ja4_common::record::{FrameInfo, RecordHeader};
use ja4_common::select::{Verdict, Work, select};

use super::core::{Core, FlowBooks, Limits, Now};
use super::engines::Engines;
use crate::event::{Sink, Time};
use crate::flow::{FlowTable, SlotId};
use crate::packet::Packet;

/// One frame of a capture.
#[derive(Clone, Copy, Debug)]
pub struct CapturedFrame<'a> {
    /// Where its headers begin.
    pub start: Start,
    /// Bytes and length on the wire.
    pub slice: Slice<'a>,
    /// Time.
    pub time: Time,
    /// Interface, as a number of the capture.
    pub interface: u32,
    /// Number in the capture, from 1.
    pub number: u64,
}

/// A lane of a replay.
pub struct Lane {
    flows: LaneFlows,
    core: Core,
    counters: Counters,
    work: Work,
}

impl Lane {
    /// An empty lane.
    pub fn new(limits: &Limits) -> Self {
        Self {
            flows: LaneFlows { table: FlowTable::with_capacity(limits.connections), now: 0 },
            core: Core::new(limits),
            counters: Counters::default(),
            work: Work::default(),
        }
    }

    /// Judges a frame as the kernel would, and takes it if it is selected.
    pub fn frame(&mut self, frame: &CapturedFrame<'_>, knobs: &Knobs, engines: &mut Engines, sink: &mut impl Sink) {
        self.flows.now = frame.time.0;
        let info = FrameInfo::default();
        self.counters.seen += 1;
        match select(&frame.slice, frame.start, || info, &mut self.flows, knobs, &mut self.work) {
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
                self.core.packet(&packet, &mut self.flows, engines, sink);
            }
        }
    }

    /// A second of event time has passed.
    pub fn tick(&mut self, now: Now, engines: &mut Engines, sink: &mut impl Sink) {
        self.core.tick(now, &mut self.flows, engines, sink);
    }

    /// The capture is over.
    pub fn finish(&mut self, now: Now, engines: &mut Engines, sink: &mut impl Sink) {
        self.core.finish(now, &mut self.flows, engines, sink);
    }

    /// The filter's counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The core's counters.
    pub fn stats(&self) -> super::stats::CoreStats {
        self.core.stats()
    }
}

/// The lane that a flow's frames belong to: for frames without a flow, any lane does as long as it
/// is always the same.
pub fn lane_of(frame: &CapturedFrame<'_>, knobs: &Knobs, lanes: u32) -> u32 {
    use ja4_common::headers::{Parsed, Transport, parse};
    let mut headers = Transport::default();
    match parse(&frame.slice, frame.start, &mut headers) {
        Parsed::Transport => shard_of(headers.hash(knobs.seed), lanes),
        Parsed::Fragment | Parsed::Nested => shard_of(headers.hash_of_addresses(knobs.seed), lanes),
        _ => 0,
    }
}

/// The filter's flows in a replay.
struct LaneFlows {
    table: FlowTable<FlowEntry>,
    now: u64,
}

impl Flows for LaneFlows {
    type Handle = SlotId;

    fn maybe(&self, _: u64) -> bool {
        true
    }

    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<SlotId> {
        self.table.find(hash, key)
    }

    fn entry(&mut self, handle: SlotId) -> Option<&mut FlowEntry> {
        // Not a use: the core, which is told of the flow's end, keeps the order of use for both.
        self.table.at_mut(handle)
    }

    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool {
        self.table.insert(hash, entry.key, *entry);
        true
    }

    fn forget(&mut self, _: u64) {}

    fn touch(&mut self, _: u64) {}

    fn now(&self) -> u64 {
        self.now
    }

    fn count(direction: &mut Direction, packets: u64, bytes: u64) {
        direction.packets += packets;
        direction.bytes += bytes;
    }
}

impl FlowBooks for LaneFlows {
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        self.table.get(hash, key).copied()
    }

    fn remove(&mut self, hash: u64, key: &FlowKey) {
        self.table.remove(hash, key);
    }
}

fn bump(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}
