//! What the filter hands over unopened: tunnels inside tunnels, and datagrams put together of fragments.
//! What is inside is judged here, by the same rules.

use bytes::Bytes;
use ja4_common::bytes::{FrameBytes as _, SliceFrame};
use ja4_common::duplicate::{self, RecentBucket, RecentTable};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey, client};
use ja4_common::flow_table::Flows;
use ja4_common::headers::{ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PacketHeaders};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::record::{FrameInfo, RecordHeader, flag};
use ja4_common::select::{Scratch, select};
use ja4_common::stream_select::phase;
use ja4_common::verdict::Verdict;

use super::core::{Core, FlowLookup};
use super::engines::Engines;
use super::stats::DecapStats;
use crate::model::{EventHandler, Time};
use crate::packet::Packet;
use crate::packet::defrag::{DefragLimits, DefragStats, Defragmenter};

/// Tunnels opened in one packet, and times that it is put together of fragments, beside the two tunnels that the
/// filter has found.
const MAX_TUNNELS: usize = 6;

/// How often a datagram is put together of fragments that themselves came in fragments.
const MAX_LAYERS: u8 = 4;

/// Bounds for fragments in nested tunnels, an eighth of what others have: they are rare, and each lane of a replay
/// has its own.
const NESTED: DefragLimits = DefragLimits { datagrams: 64, bytes: 1 << 17, ..DefragLimits::DEFAULT };

/// A datagram that was put together.
#[derive(Clone, Debug)]
pub struct Whole {
    /// From its IP header on.
    pub(crate) bytes: Bytes,
    /// Time of the fragment that came last.
    pub(crate) time: Time,
    /// Index into the run's list of interface names.
    pub(crate) interface: u32,
    /// Where its fragments were met.
    pub(crate) info: FrameInfo,
    /// Number in the capture of the fragment that came last; absent live.
    pub(crate) number: Option<u64>,
    /// How often it was put together before, of fragments that came in fragments.
    pub(crate) layers: u8,
}

/// What became of a datagram that may be a fragment itself.
pub(crate) enum Gathered {
    /// It is none.
    AsItIs(Whole),
    /// With it another one is whole, which may be a fragment in its turn, and of another shard.
    Further(Whole),
    /// It waits for others, or was refused.
    Waits,
}

impl Whole {
    /// Puts it together further, if it is a fragment itself or holds one in a tunnel.
    pub(crate) fn gather(self, defragmenter: &mut Defragmenter) -> Gathered {
        let slice = SliceFrame { bytes: &self.bytes, wire_len: self.bytes.len() };
        let mut headers = PacketHeaders::default();
        if self.layers >= MAX_LAYERS || parse(&slice, self.start(), &mut headers) != ParseOutcome::Fragment {
            return Gathered::AsItIs(self);
        }
        let network = self.bytes.get(headers.l3 as usize..).unwrap_or_default();
        // What is refused is counted there.
        match defragmenter.push(network, self.info.capture_point(), self.time) {
            Ok(Some(bytes)) => {
                let bytes = Bytes::copy_from_slice(bytes);
                Gathered::Further(Self { bytes, layers: self.layers + 1, ..self })
            }
            Ok(None) | Err(_) => Gathered::Waits,
        }
    }

    /// What its first byte says it is.
    fn start(&self) -> ParseStart {
        start_of(&self.bytes)
    }

    /// Hash by which it finds its shard.
    pub(crate) fn hash(&self, filter_config: &FilterConfig) -> u64 {
        let slice = SliceFrame { bytes: &self.bytes, wire_len: self.bytes.len() };
        let mut headers = PacketHeaders::default();
        match parse(&slice, self.start(), &mut headers) {
            ParseOutcome::Transport => headers.hash(filter_config.seed),
            _ => headers.hash_of_addresses(filter_config.seed),
        }
    }
}

/// Where the headers of a packet begin that has no link header.
pub(crate) fn start_of(network: &[u8]) -> ParseStart {
    let four = network.first().is_some_and(|first| first >> 4 == 4);
    ParseStart::Network { ethertype: if four { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 }, offset: 0 }
}

/// Opens packets, and judges what is in them.
pub(crate) struct Unwrapper {
    work: Scratch,
    /// Of fragments in nested tunnels.
    defragmenter: Defragmenter,
    stats: DecapStats,
}

impl Default for Unwrapper {
    fn default() -> Self {
        Self { work: Scratch::default(), defragmenter: Defragmenter::new(&NESTED), stats: DecapStats::default() }
    }
}

/// Where a judged packet goes.
struct Onward<'a, 'b, B, S> {
    filter_config: &'a FilterConfig,
    core: &'a mut Core,
    lookup: &'a mut B,
    engines: &'a mut Engines,
    sink: &'a mut S,
    /// The record that brought it.
    packet: &'a Packet<'b>,
}

impl<B, S> Onward<'_, '_, B, S> {
    /// What the filter knew of the frame: a forwarded packet counts at one of its hooks only, inside a tunnel too.
    fn info(&self) -> FrameInfo {
        let RecordHeader { ifindex, flags, vlan, .. } = *self.packet.header;
        FrameInfo { ifindex, egress: flags & flag::EGRESS != 0, vlan, ..FrameInfo::default() }
    }
}

impl Unwrapper {
    /// What was counted so far.
    pub(crate) fn stats(&self) -> DecapStats {
        self.stats
    }

    /// What became of fragments in nested tunnels.
    pub(crate) fn defrag_stats(&self) -> DefragStats {
        self.defragmenter.stats()
    }

    /// Lets go of what has not become whole in time.
    pub(crate) fn expire(&mut self, now: Time) {
        self.defragmenter.expire(now);
    }

    /// Counts a record that the filter hands over unopened.
    pub(crate) fn count_record(&mut self) {
        self.stats.records += 1;
    }

    /// Opens a tunnel inside a tunnel. `start`: where the headers of the record's frame begin.
    #[expect(clippy::too_many_arguments, reason = "the stages' context, passed down one level")]
    pub(crate) fn open<B: FlowLookup, S: EventHandler>(
        &mut self,
        packet: &Packet<'_>,
        start: ParseStart,
        filter_config: &FilterConfig,
        core: &mut Core,
        lookup: &mut B,
        engines: &mut Engines,
        sink: &mut S,
    ) {
        lookup.inner().set_time(Time(packet.header.time));
        let slice = SliceFrame { bytes: packet.bytes, wire_len: packet.header.wire_len as usize };
        self.descend(slice, start, MAX_TUNNELS, Onward { filter_config, core, lookup, engines, sink, packet });
    }

    /// From tunnel to tunnel, until there is none: at most so many. What comes in fragments goes on when it is whole.
    fn descend<B: FlowLookup, S: EventHandler>(
        &mut self,
        slice: SliceFrame<'_>,
        start: ParseStart,
        most: usize,
        onward: Onward<'_, '_, B, S>,
    ) {
        let (mut slice, mut start) = (slice, start);
        let info = onward.info();
        for left in (0..most).rev() {
            let mut headers = PacketHeaders::default();
            match parse(&slice, start, &mut headers) {
                ParseOutcome::Nested => {}
                ParseOutcome::Fragment => {
                    self.stats.fragments += 1;
                    let network = slice.bytes.get(headers.l3 as usize..).unwrap_or_default();
                    let time = Time(onward.packet.header.time);
                    // What is refused is counted there.
                    if let Ok(Some(bytes)) = self.defragmenter.push(network, info.capture_point(), time) {
                        let whole = Bytes::copy_from_slice(bytes);
                        let slice = SliceFrame { bytes: &whole, wire_len: whole.len() };
                        self.descend(slice, start_of(&whole), left, onward);
                    }
                    return;
                }
                _ => {
                    let verdict =
                        select(&slice, start, || info, onward.lookup.inner(), onward.filter_config, &mut self.work);
                    return match verdict {
                        Verdict::Selected => self.hand_on(slice, 0, onward),
                        Verdict::Unselected(_) => self.stats.unselected += 1,
                        Verdict::Unparseable(_) => self.stats.unparseable += 1,
                    };
                }
            }
            let at = headers.l4 as usize;
            // Bytes behind the tunnel's payload are not read; an inner packet that needs them counts as cut.
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

    /// Takes a datagram that was put together. The filter has not seen it, so everything is wanted that its
    /// flow, if it is known, may have a use for.
    pub(crate) fn take<B: FlowLookup, S: EventHandler>(
        &mut self,
        whole: &Whole,
        filter_config: &FilterConfig,
        core: &mut Core,
        lookup: &mut B,
        engines: &mut Engines,
        sink: &mut S,
    ) {
        let (slice, start) = (SliceFrame { bytes: &whole.bytes, wire_len: whole.bytes.len() }, whole.start());
        let info = whole.info;
        let record = RecordHeader {
            time: whole.time.0,
            ifindex: info.ifindex,
            flags: if info.egress { flag::EGRESS } else { 0 },
            wire_len: whole.bytes.len() as u32,
            ..RecordHeader::default()
        };
        let packet = Packet { header: &record, bytes: &whole.bytes, interface: whole.interface, number: whole.number };
        let mut headers = PacketHeaders::default();
        match parse(&slice, start, &mut headers) {
            ParseOutcome::Transport => {}
            ParseOutcome::Nested => return self.open(&packet, start, filter_config, core, lookup, engines, sink),
            ParseOutcome::Fragment => return self.stats.too_deep += 1,
            ParseOutcome::NotIp | ParseOutcome::OtherProtocol => return self.stats.unselected += 1,
            ParseOutcome::Malformed(_) => return self.stats.unparseable += 1,
        }
        let ((key, from), hash) = (FlowKey::of(&headers), headers.hash(filter_config.seed));
        // The filter compares only whole packets: it does not track the flow of fragments. Both use one table.
        let point = info.capture_point();
        let filtered = lookup.entry(hash, &key).map(|entry| if from == 0 { entry.low } else { entry.high });
        if filtered.is_some_and(|direction| duplicate::is_in_range(&direction, &headers, point, whole.time.0))
            || lookup.is_duplicate(duplicate::identify(&slice, &headers, hash ^ u64::from(from)), point, whole.time)
        {
            return self.stats.duplicates += 1;
        }
        let mut open_handed = OpenHanded::new(core.client_is_low(hash, &key), headers.seq);
        match select(&slice, start, || info, &mut open_handed, filter_config, &mut self.work) {
            Verdict::Selected => {
                // Its counts are not the flow's.
                let onward = Onward { filter_config, core, lookup, engines, sink, packet: &packet };
                self.hand_on(slice, flag::TRACKED, onward);
            }
            Verdict::Unselected(_) => self.stats.unselected += 1,
            Verdict::Unparseable(_) => self.stats.unparseable += 1,
        }
    }

    /// Gives the core a record like the filter's, less the flags `without`.
    fn hand_on<B: FlowLookup, S: EventHandler>(
        &mut self,
        slice: SliceFrame<'_>,
        without: u16,
        onward: Onward<'_, '_, B, S>,
    ) {
        let info = onward.info();
        let Onward { core, lookup, engines, sink, packet, .. } = onward;
        let selection = &self.work.selection;
        let captured = slice.bytes.len().min(selection.capture as usize);
        let mut header = RecordHeader::new(&info, selection, packet.header.time, captured as u32);
        header.flags &= !without;
        let inner = Packet {
            header: &header,
            bytes: slice.bytes.get(..captured).unwrap_or_default(),
            interface: packet.interface,
            number: packet.number,
        };
        self.stats.taken += 1;
        core.packet(&inner, lookup, engines, sink);
    }
}

/// Flows of which everything is wanted: the one at hand, if it is known.
struct OpenHanded {
    known: bool,
    entry: FlowEntry,
    recent: NoTable,
}

/// No table of recent packets: the datagram was already compared.
struct NoTable;

impl RecentTable for NoTable {
    fn bucket(&mut self, _: u64) -> Option<&mut RecentBucket> {
        None
    }

    fn now(&self) -> u64 {
        0
    }
}

impl OpenHanded {
    fn new(client_is_low: Option<bool>, seq: u32) -> Self {
        let hungry = DirectionState { phase: phase::TEXT, mark: seq, budget: u32::MAX, ..DirectionState::default() };
        let client = if client_is_low == Some(false) { client::HIGH } else { client::LOW };
        let entry = FlowEntry { low: hungry, high: hungry, client, ..FlowEntry::default() };
        Self { known: client_is_low.is_some(), entry, recent: NoTable }
    }
}

impl Flows for OpenHanded {
    type Handle = ();
    type Recent = NoTable;

    fn may_contain(&self, _: u64) -> bool {
        self.known
    }

    fn find(&mut self, _: &FlowKey, _: u64) -> Option<()> {
        self.known.then_some(())
    }

    fn entry(&mut self, (): ()) -> Option<(&mut FlowEntry, &mut NoTable)> {
        Some((&mut self.entry, &mut self.recent))
    }

    fn recent(&mut self) -> &mut NoTable {
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
