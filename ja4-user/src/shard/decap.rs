//! Decapsulation: nested tunnels and reassembled datagrams, which the filter does not parse. The packets inside are filtered here
//! by the same rules.

use bytes::Bytes;
use ja4_common::bytes::{FrameBytes as _, SliceFrame};
use ja4_common::duplicate::{self, RecentBucket, RecentTable};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey, client};
use ja4_common::flow_table::Flows;
use ja4_common::headers::{ETHERTYPE_ETHERNET, PacketHeaders};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::reason::PassReason;
use ja4_common::record::{FrameInfo, LinkHeader, RecordHeader, flag};
use ja4_common::select::{Scratch, select};
use ja4_common::stream_select::phase;
use ja4_common::verdict::Verdict;

use super::core::Core;
use super::env::ShardEnv;
use super::flow_lookup::FlowLookup;
use super::reassembled::{ReassembledDatagram, start_of};
use super::stats::DecapStats;
use crate::model::{EventHandler, Time};
use crate::packet::defrag::{DefragLimits, DefragStats, Defragmenter};
use crate::packet::{Packet, vlan_tags};

/// Tunnels decapsulated and fragments reassembled in one packet, besides the two tunnels that the filter has parsed.
const MAX_TUNNELS: usize = 6;

/// Bounds for fragments in nested tunnels, an eighth of those for others: they are rare, and each lane of a replay has its own.
const NESTED: DefragLimits = DefragLimits { datagrams: 64, bytes: 1 << 17, ..DefragLimits::DEFAULT };

/// Decapsulates and filters packets.
pub(crate) struct Decapsulator {
    scratch: Scratch,
    /// Fragments in nested tunnels.
    defragmenter: Defragmenter,
    stats: DecapStats,
}

impl Default for Decapsulator {
    fn default() -> Self {
        Self { scratch: Scratch::default(), defragmenter: Defragmenter::new(&NESTED), stats: DecapStats::default() }
    }
}

/// The filter's configuration, and the core that processes the packets inside.
pub(crate) struct DecapTarget<'a, 'e, F, S> {
    pub(crate) config: &'a FilterConfig,
    pub(crate) core: &'a mut Core,
    pub(crate) env: &'a mut ShardEnv<'e, F, S>,
}

/// What the filter knew of the outer frame: also inside a tunnel, a forwarded packet counts at one of its hooks only.
fn outer_info(outer: &RecordHeader) -> FrameInfo {
    let RecordHeader { ifindex, flags, vlan, .. } = *outer;
    let egress = flags & flag::EGRESS != 0;
    FrameInfo { ifindex, egress, link: LinkHeader::OfOuterFrame, vlan, ..FrameInfo::default() }
}

impl Decapsulator {
    /// The counters.
    pub(crate) fn stats(&self) -> DecapStats {
        self.stats
    }

    /// The counters of fragments in nested tunnels.
    pub(crate) fn defrag_stats(&self) -> DefragStats {
        self.defragmenter.stats()
    }

    /// Drops datagrams that were not completed in time.
    pub(crate) fn expire(&mut self, now: Time) {
        self.defragmenter.expire(now);
    }

    /// Counts a record that is to be decapsulated.
    pub(crate) fn count_record(&mut self) {
        self.stats.records += 1;
    }

    /// Decapsulates a tunnel inside a tunnel. `start`: the start of the headers of the record's frame.
    pub(crate) fn open<F: FlowLookup, S: EventHandler>(
        &mut self,
        packet: &Packet<'_>,
        start: ParseStart,
        target: &mut DecapTarget<'_, '_, F, S>,
    ) {
        target.env.flows.inner().set_time(Time(packet.header.time));
        self.scratch.outer_tags = packet.outer_vlan.unwrap_or_else(|| vlan_tags(packet));
        let slice = SliceFrame { bytes: packet.bytes, wire_len: packet.header.wire_len as usize };
        self.descend(slice, start, MAX_TUNNELS, packet, target);
    }

    /// Decapsulates at most `max` tunnels, until there is none. A fragment is processed further once its datagram is complete.
    fn descend<F: FlowLookup, S: EventHandler>(
        &mut self,
        slice: SliceFrame<'_>,
        start: ParseStart,
        max: usize,
        outer: &Packet<'_>,
        target: &mut DecapTarget<'_, '_, F, S>,
    ) {
        let (mut slice, mut start) = (slice, start);
        let info = outer_info(outer.header);
        for left in (0..max).rev() {
            let mut headers = PacketHeaders::default();
            match parse(&slice, start, &target.config.tunnel_ports, &mut headers) {
                ParseOutcome::Nested => {}
                ParseOutcome::Fragment => {
                    self.stats.fragments += 1;
                    let network = slice.bytes.get(headers.l3 as usize..).unwrap_or_default();
                    let time = Time(outer.header.time);
                    // The defragmenter counts what it refuses.
                    if let Ok(Some(bytes)) = self.defragmenter.push(network, info.capture_point(), time) {
                        let datagram = Bytes::copy_from_slice(bytes);
                        let slice = SliceFrame { bytes: &datagram, wire_len: datagram.len() };
                        self.descend(slice, start_of(&datagram), left, outer, target);
                    }
                    return;
                }
                _ => {
                    let flows = target.env.flows.inner();
                    let verdict = select(&slice, start, || info, flows, target.config, &mut self.scratch);
                    return self.apply(verdict, slice, 0, outer, target);
                }
            }
            let at = headers.l4 as usize;
            // Bytes after the tunnel's payload are ignored: an inner packet that needs them counts as truncated.
            let end = slice.bytes.len().min(headers.tunnel_end as usize);
            slice = SliceFrame {
                bytes: slice.bytes.get(at..end).unwrap_or_default(),
                wire_len: slice.wire_len().saturating_sub(at),
            };
            start = match headers.inner {
                ETHERTYPE_ETHERNET => ParseStart::Ethernet,
                ethertype => ParseStart::Network { ethertype, offset: 0 },
            };
        }
        self.stats.too_deep += 1;
    }

    /// Processes a reassembled datagram. The filter has not seen it, so everything is selected that its flow, if it is known, may
    /// use.
    pub(crate) fn datagram<F: FlowLookup, S: EventHandler>(
        &mut self,
        datagram: &ReassembledDatagram,
        target: &mut DecapTarget<'_, '_, F, S>,
    ) {
        let slice = SliceFrame { bytes: &datagram.bytes, wire_len: datagram.bytes.len() };
        let (start, info) = (datagram.start(), datagram.info);
        let record = RecordHeader {
            time: datagram.time.0,
            ifindex: info.ifindex,
            flags: if info.egress { flag::EGRESS } else { 0 },
            wire_len: datagram.bytes.len() as u32,
            ..RecordHeader::default()
        };
        let ReassembledDatagram { bytes, interface, number, .. } = datagram;
        let outer_vlan = Some(datagram.tags);
        let packet = Packet { header: &record, bytes, start, outer_vlan, interface: *interface, number: *number };
        let mut headers = PacketHeaders::default();
        match parse(&slice, start, &target.config.tunnel_ports, &mut headers) {
            ParseOutcome::Transport => {}
            ParseOutcome::Nested => return self.open(&packet, start, target),
            ParseOutcome::Fragment => return self.stats.too_deep += 1,
            ParseOutcome::NotIp | ParseOutcome::OtherProtocol => return self.stats.unselected += 1,
            ParseOutcome::Malformed(_) => return self.stats.unparseable += 1,
        }
        let ((key, from), hash) = (FlowKey::of(&headers), headers.hash(target.config.seed));
        // The filter compares only unfragmented packets, as it does not track the flow of fragments. Both use one table.
        let (point, flows) = (info.capture_point(), &mut target.env.flows);
        let filtered = flows.entry(hash, &key).map(|entry| if from == 0 { entry.low } else { entry.high });
        let identity = duplicate::identify(&slice, &headers, hash ^ u64::from(from));
        if filtered.is_some_and(|direction| duplicate::is_in_range(&direction, &headers, point, datagram.time.0))
            || flows.is_duplicate(identity, point, datagram.time)
        {
            return self.stats.duplicates += 1;
        }
        self.scratch.outer_tags = datagram.tags;
        let mut select_all = SelectAll::new(target.core.client_is_low(hash, &key), headers.seq);
        let verdict = select(&slice, start, || info, &mut select_all, target.config, &mut self.scratch);
        // The counters of this entry are not those of the flow.
        self.apply(verdict, slice, flag::TRACKED, &packet, target);
    }

    /// Passes a selected inner packet to the core as a record like the filter's, without the flags `without`; counts others.
    fn apply<F: FlowLookup, S: EventHandler>(
        &mut self,
        verdict: Verdict,
        slice: SliceFrame<'_>,
        without: u16,
        outer: &Packet<'_>,
        target: &mut DecapTarget<'_, '_, F, S>,
    ) {
        match verdict {
            Verdict::Selected => {}
            Verdict::Unselected(PassReason::Filtered) => return self.stats.filtered += 1,
            Verdict::Unselected(_) => return self.stats.unselected += 1,
            Verdict::Unparseable(_) => return self.stats.unparseable += 1,
        }
        let selection = &self.scratch.selection;
        let captured = slice.bytes.len().min(selection.capture as usize);
        let info = outer_info(outer.header);
        let mut header = RecordHeader::new(&info, selection, outer.header.time, captured as u32);
        header.flags &= !without;
        let bytes = slice.bytes.get(..captured).unwrap_or_default();
        let inner = Packet { header: &header, bytes, outer_vlan: Some(self.scratch.outer_tags), ..*outer };
        self.stats.processed += 1;
        target.core.packet(&inner, target.env);
    }
}

/// A flow table with the current flow, if it is known, of which everything is selected.
struct SelectAll {
    is_known: bool,
    entry: FlowEntry,
    recent: NoRecentTable,
}

/// An empty table of recent packets: the datagram was compared before.
struct NoRecentTable;

impl RecentTable for NoRecentTable {
    fn bucket(&mut self, _: u64) -> Option<&mut RecentBucket> {
        None
    }

    fn now(&self) -> u64 {
        0
    }
}

impl SelectAll {
    fn new(client_is_low: Option<bool>, seq: u32) -> Self {
        let selecting = DirectionState { phase: phase::TEXT, mark: seq, budget: u32::MAX, ..DirectionState::default() };
        let client = if client_is_low == Some(false) { client::HIGH } else { client::LOW };
        let entry = FlowEntry { low: selecting, high: selecting, client, ..FlowEntry::default() };
        Self { is_known: client_is_low.is_some(), entry, recent: NoRecentTable }
    }
}

impl Flows for SelectAll {
    type Handle = ();
    type Recent = NoRecentTable;

    fn may_contain(&self, _: u64) -> bool {
        self.is_known
    }

    fn find(&mut self, _: &FlowKey, _: u64) -> Option<()> {
        self.is_known.then_some(())
    }

    fn entry(&mut self, (): ()) -> Option<(&mut FlowEntry, &mut NoRecentTable)> {
        Some((&mut self.entry, &mut self.recent))
    }

    fn recent(&mut self) -> &mut NoRecentTable {
        &mut self.recent
    }

    fn insert(&mut self, _: u64, _: &FlowEntry) -> bool {
        false
    }

    fn touch(&mut self, _: u64) {}

    fn now(&self) -> u64 {
        0
    }

    fn count(_: &mut DirectionState, _: u64, _: u64) {}
}
