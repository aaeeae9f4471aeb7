//! The decision over one frame: does it carry a part of a handshake?
//!
//! The filter selects SYN and SYN-ACK with their retransmissions, the client's first ACK after them, ACKs without payload
//! until the flow's protocol is known, the segments that [`crate::stream_select`] selects, the client's first payload
//! after the server's, FIN and RST of a tracked flow, the segments of an SSH connection, and the datagrams that
//! [`crate::datagram`] classifies. Fragments and tunnels inside tunnels are selected whole, because only userspace can
//! read them. Every other frame is counted by its reason. A flow is tracked only if it matches the [`CaptureFilter`].
//!
//! [`CaptureFilter`]: crate::capture_filter::CaptureFilter

use crate::bytes::{HeaderWindow, SliceFrame};
use crate::capture_filter::SenderRole;
use crate::datagram::{self, DatagramKind};
use crate::duplicate::{self, DuplicateStage};
use crate::fast_path::{self, FastPath};
use crate::filter_config::FilterConfig;
use crate::flow::{DirectionState, FlowCounters, FlowEntry, FlowKey, client, seen};
use crate::flow_table::Flows;
use crate::headers::{
    PROTO_AH, PROTO_ETHERIP, PROTO_GRE, PROTO_IPV4, PROTO_IPV6, PROTO_L2TP, PROTO_TCP, PROTO_UDP, PacketHeaders,
    tcp_flag,
};
use crate::limit;
use crate::parse::{self, ParseOutcome, ParseStages, ParseStart};
use crate::reason::{Malformed, PassReason, RecordClass};
use crate::record::{FrameInfo, LinkHeader, flag};
use crate::segment::{SegmentPayload, stream_start};
use crate::signature::{SSH_PORT, StreamStart, class_of, protocol};
use crate::stream_select::{self, SegmentInterest, StreamStages, phase};
use crate::text::{self, TextStage};
use crate::verdict::{LatencyPoint, Selection, Verdict};
use crate::vlan::VlanTags;

/// Scratch memory for one frame. In the kernel it is in a per-CPU map: the stack has 512 bytes, and the verifier does not
/// follow the contents of a map.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Scratch {
    /// The record of the frame, if it is selected.
    pub selection: Selection,
    headers: PacketHeaders,
    key: FlowKey,
    new_entry: FlowEntry,
    segment: SegmentPayload,
    /// Facts about the frame that the hook has.
    pub info: FrameInfo,
    /// The endpoint of the key that sent the frame: 0 low, 1 high.
    from: u32,
    /// Buffer for the text of a segment.
    words: [u64; text::WORDS],
    /// Copy of a direction of the flow's entry, for a stage of the kernel programs.
    direction: DirectionState,
    /// VLAN tags of the outer frame, if the link header is [`LinkHeader::OfOuterFrame`].
    pub outer_tags: VlanTags,
}

/// The parts of [`Scratch`] that a stage of the kernel programs reads and writes; see [`Scratch::stage`].
pub struct StageArguments<'a> {
    /// Headers of the frame.
    pub headers: &'a mut PacketHeaders,
    /// Payload of the frame.
    pub segment: &'a mut SegmentPayload,
    /// Buffer for the text of the payload.
    pub words: &'a mut [u64; text::WORDS],
    /// Copy of the direction that sent the frame.
    pub direction: &'a mut DirectionState,
}

/// The steps of the decision that the kernel programs call as global functions, with those of the layers below.
pub trait SelectStages: ParseStages + StreamStages + DuplicateStage + TextStage {
    /// Calls [`Scratch::syn`].
    #[inline(always)]
    fn syn<F: Flows>(&self, scratch: &mut Scratch, flows: &mut F, config: &FilterConfig) -> PacketOutcome {
        scratch.syn(self, flows, config)
    }

    /// Calls [`Scratch::datagram`].
    #[inline(always)]
    fn datagram<F: Flows>(
        &self,
        scratch: &mut Scratch,
        is_bulk: bool,
        flows: &mut F,
        config: &FilterConfig,
    ) -> PacketOutcome {
        scratch.datagram(self, is_bulk, flows, config)
    }

    /// Calls [`Scratch::matching_terms`].
    #[inline(always)]
    fn matching_terms(&self, scratch: &mut Scratch, sender: SenderRole, config: &FilterConfig) -> u32 {
        scratch.matching_terms(sender, config)
    }
}

impl SelectStages for SliceFrame<'_> {}

/// Decides over one frame and updates its flow's entry. `info` is called only if the frame needs it.
#[inline(always)]
pub fn select<B: SelectStages, F: Flows>(
    frame: &B,
    start: ParseStart,
    info: impl FnOnce() -> FrameInfo,
    flows: &mut F,
    config: &FilterConfig,
    scratch: &mut Scratch,
) -> Verdict {
    let mut fast_path = FastPath::Defer;
    if let ParseStart::Ethernet = start {
        fast_path = fast_path::classify(frame, flows, config, &mut scratch.headers, &mut scratch.selection.hash);
    }
    match fast_path {
        FastPath::UntrackedTcp => return Verdict::Unselected(PassReason::Untracked),
        FastPath::UntrackedUdp => return Verdict::Unselected(PassReason::Udp),
        FastPath::Parsed | FastPath::BulkUdp => {}
        FastPath::Defer => {
            let parsed = parse::parse(frame, start, &config.tunnel_ports, &mut scratch.headers);
            let scratch = frame.reload(scratch);
            match parsed {
                ParseOutcome::Transport => {}
                ParseOutcome::NotIp => return Verdict::Unselected(PassReason::NotIp),
                ParseOutcome::OtherProtocol => return Verdict::Unselected(PassReason::OtherProtocol),
                ParseOutcome::Malformed(reason) => return Verdict::Unparseable(reason),
                ParseOutcome::Fragment if !may_matter(&scratch.headers) => {
                    return Verdict::Unselected(PassReason::Fragment);
                }
                ParseOutcome::Fragment => {
                    return scratch.select_by_addresses(frame, RecordClass::Fragment, info, config);
                }
                ParseOutcome::Nested => return scratch.select_by_addresses(frame, RecordClass::Nested, info, config),
            }
            scratch.selection.hash = scratch.headers.hash(config.seed);
        }
    }
    let scratch = frame.reload(scratch);
    let PacketHeaders { payload, payload_len, seq, flags: tcp, .. } = scratch.headers;
    let hash = scratch.selection.hash;
    let opens = tcp & tcp_flag::SYN != 0 && tcp & (tcp_flag::RST | tcp_flag::FIN) == 0;
    scratch.segment = SegmentPayload { seq, at: payload, len: payload_len, text: text::NONE };
    if scratch.headers.proto == PROTO_UDP {
        scratch.set_offsets(frame, info());
        let outcome = frame.datagram(scratch, fast_path == FastPath::BulkUdp, flows, config);
        return outcome.verdict(PassReason::Udp);
    }
    let mut known = false;
    if !opens {
        // Bulk packets of untracked flows return here. Without accounting, the membership filter holds only flows with
        // payload to select, so a FIN or RST needs the look-up.
        known = flows.may_contain(hash) || (config.accounting == 0 && tcp & (tcp_flag::FIN | tcp_flag::RST) != 0);
        if !known && !scratch.headers.may_be_ssh() && stream_start(frame, &scratch.segment) == StreamStart::None {
            return Verdict::Unselected(PassReason::Untracked);
        }
    }
    scratch.set_offsets(frame, info());
    if scratch.is_short() {
        return Verdict::Unparseable(Malformed::IpLength);
    }
    let outcome = if opens {
        // A SYN of a tracked flow may come from its server and restart it.
        if scratch.is_filtered(frame, SenderRole::known(tcp & tcp_flag::ACK == 0), config) {
            return Verdict::Unselected(PassReason::Filtered);
        }
        frame.syn(scratch, flows, config)
    } else {
        scratch.segment(frame, known, flows, config)
    };
    outcome.verdict(PassReason::Untracked)
}

/// Whether a fragment of this protocol may belong to a flow that is selected.
#[inline(always)]
const fn may_matter(fragment: &PacketHeaders) -> bool {
    // In IPv6, the other fragments may hold more extension headers (RFC 8200, section 4.5).
    matches!(
        fragment.proto,
        PROTO_TCP | PROTO_UDP | PROTO_GRE | PROTO_IPV4 | PROTO_IPV6 | PROTO_AH | PROTO_ETHERIP | PROTO_L2TP
    ) || fragment.version == 6 && parse::is_extension(fragment.proto)
}

/// Result for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketOutcome {
    /// Selected.
    Selected,
    /// Not selected. Later packets of the flow may be.
    Selecting,
    /// Not selected. Of later packets, only one that matches a signature is.
    Done,
    /// The flow is untracked.
    Untracked,
    /// Another capture point has seen the packet.
    Duplicate,
    /// The first packet over the budget.
    OverBudget,
    /// The frame on the wire is shorter than its IP length.
    Short,
    /// The flow does not match the capture filter.
    Filtered,
}

impl PacketOutcome {
    /// The variant with this number, as a global BPF function returns it.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Selected,
            1 => Self::Selecting,
            2 => Self::Done,
            4 => Self::Duplicate,
            5 => Self::OverBudget,
            6 => Self::Short,
            7 => Self::Filtered,
            _ => Self::Untracked,
        }
    }

    /// The verdict. `untracked` is the reason for a packet of an untracked flow.
    #[inline(always)]
    const fn verdict(self, untracked: PassReason) -> Verdict {
        match self {
            Self::Selected => Verdict::Selected,
            Self::Selecting | Self::Done => Verdict::Unselected(PassReason::Tracked),
            Self::Untracked => Verdict::Unselected(untracked),
            Self::Duplicate => Verdict::Unselected(PassReason::Duplicate),
            Self::OverBudget => Verdict::Unselected(PassReason::OverBudget),
            Self::Filtered => Verdict::Unselected(PassReason::Filtered),
            Self::Short => Verdict::Unparseable(Malformed::IpLength),
        }
    }
}

impl Scratch {
    /// The parts that a stage reads and writes. Each global BPF function looks them up itself: Linux before 5.12 passes no
    /// pointers to one.
    #[inline(always)]
    pub const fn stage(&mut self) -> StageArguments<'_> {
        let Self { headers, segment, words, direction, .. } = self;
        StageArguments { headers, segment, words, direction }
    }

    /// Sets the flow key, the offsets and the lengths.
    #[inline(always)]
    fn set_offsets<B: SelectStages>(&mut self, frame: &B, info: FrameInfo) {
        (self.key, self.from) = FlowKey::of(&self.headers);
        self.info = info;
        self.selection.wire_len = frame.wire_len() as u32;
        self.selection.payload_len = self.headers.payload_len;
        self.selection.l3 = self.headers.l3 as u16;
        self.selection.l4 = self.headers.l4 as u16;
        self.selection.payload = self.headers.payload as u16;
    }

    /// Whether the frame on the wire is shorter than its IP length.
    #[inline(always)]
    fn is_short(&self) -> bool {
        let SegmentPayload { at, len, .. } = self.segment;
        // A mirror port may cut the frames that it sends through a tunnel.
        at + len > self.selection.wire_len && self.headers.inner == 0
    }

    /// Selects a whole frame without known ports. The hash of its addresses selects the shard.
    #[inline(always)]
    fn select_by_addresses<B: SelectStages>(
        &mut self,
        frame: &B,
        class: RecordClass,
        info: impl FnOnce() -> FrameInfo,
        config: &FilterConfig,
    ) -> Verdict {
        self.selection.hash = self.headers.hash_of_addresses(config.seed);
        self.headers.payload = self.headers.l4;
        self.set_offsets(frame, info());
        self.selection.counters = FlowCounters::default();
        let wire_len = self.selection.wire_len;
        self.segment = SegmentPayload { seq: 0, at: wire_len, len: 0, text: text::NONE };
        self.fill_selection(class as u8, false, true, LatencyPoint::None, 0);
        Verdict::Selected
    }

    /// Handles a UDP datagram. `is_bulk`: it matches no signature, and its flow may be tracked.
    #[inline(always)]
    pub fn datagram<B: SelectStages, F: Flows>(
        &mut self,
        frame: &B,
        is_bulk: bool,
        flows: &mut F,
        config: &FilterConfig,
    ) -> PacketOutcome {
        let (mut kind, mut known) = (DatagramKind::Other, true);
        if !is_bulk {
            kind = datagram::classify(frame, &self.headers);
            known = flows.may_contain(self.selection.hash);
        }
        if !known && !kind.starts_flow() {
            return PacketOutcome::Untracked;
        }
        if self.is_short() {
            return PacketOutcome::Short;
        }
        let now = flows.now();
        let hash = self.selection.hash;
        let found = if known { flows.find(&self.key, hash) } else { None };
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            if !kind.starts_flow() {
                return PacketOutcome::Untracked;
            }
            self.init_entry(kind.from_client());
            if self.is_filtered(frame, SenderRole::known(kind.from_client()), config) {
                return PacketOutcome::Filtered;
            }
            if self.is_first_packet_duplicate(frame, flows) {
                return PacketOutcome::Duplicate;
            }
            let (mine, _) = self.new_entry.split(self.from);
            mine.protocol = datagram_protocol(kind, 0);
            (mine.packets, mine.bytes) = (self.info.packets(), self.info.bytes(self.selection.wire_len));
            mine.last_seen = now;
            let inserted = flows.insert(hash, &self.new_entry);
            self.selection.counters = self.new_entry.counters();
            self.select_datagram(kind, kind.from_client(), if inserted { flag::TRACKED } else { 0 });
            return PacketOutcome::Selected;
        };
        let from_client = u32::from(entry.client) == self.from;
        let (mine, theirs) = entry.split(self.from);
        if self.is_duplicate::<B, F>(frame, mine, recent) {
            return PacketOutcome::Duplicate;
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        mine.protocol = datagram_protocol(kind, mine.protocol);
        let is_openvpn = mine.protocol == protocol::OPENVPN || theirs.protocol == protocol::OPENVPN;
        if kind == DatagramKind::Other || (kind == DatagramKind::OpenVpn && !is_openvpn) {
            // Without accounting, bulk packets do not keep the flow in the membership filter.
            if config.accounting != 0 {
                flows.touch(hash);
            }
            return PacketOutcome::Done;
        }
        self.selection.counters = entry.counters();
        flows.touch(hash);
        self.select_datagram(kind, from_client, flag::TRACKED);
        // From memory: the stack of the kernel has no room for another value.
        let [low, high] = self.selection.counters.packets;
        self.selection.limit = limit::index(self.selection.class, low != 0 && high != 0);
        PacketOutcome::Selected
    }

    /// Completes the selection of a datagram.
    #[inline(always)]
    fn select_datagram(&mut self, kind: DatagramKind, from_client: bool, flags: u16) {
        let class = match kind {
            DatagramKind::QuicInitial
            | DatagramKind::QuicShortInitial
            | DatagramKind::QuicRetry
            | DatagramKind::QuicBeforeInitial => RecordClass::Quic,
            DatagramKind::QuicHandshake => {
                if self.segment.len > datagram::QUIC_HEADER {
                    self.segment.len = datagram::QUIC_HEADER;
                }
                RecordClass::Quic
            }
            DatagramKind::DhcpClient | DatagramKind::DhcpServer => RecordClass::Dhcp,
            DatagramKind::OpenVpnClient | DatagramKind::OpenVpnServer | DatagramKind::OpenVpn => RecordClass::Tls,
            _ => RecordClass::Dtls,
        };
        self.fill_selection(class as u8, from_client, true, LatencyPoint::None, flags);
    }

    /// Handles a SYN or SYN-ACK. It starts a flow, restarts one, or is a retransmission.
    #[inline(always)]
    pub fn syn<B: SelectStages, F: Flows>(&mut self, frame: &B, flows: &mut F, config: &FilterConfig) -> PacketOutcome {
        let now = flows.now();
        let from_client = self.headers.flags & tcp_flag::ACK == 0;
        let class = if from_client { RecordClass::Syn } else { RecordClass::SynAck };
        let hash = self.selection.hash;
        let found = if flows.may_contain(hash) { flows.find(&self.key, hash) } else { None };
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            self.init_entry(from_client);
            if self.is_first_packet_duplicate(frame, flows) {
                return PacketOutcome::Duplicate;
            }
            self.track_syn(now, config);
            let inserted = flows.insert(hash, &self.new_entry);
            self.fill_selection(
                class as u8,
                from_client,
                true,
                LatencyPoint::None,
                if inserted { flag::TRACKED } else { 0 },
            );
            self.selection.counters = self.new_entry.counters();
            return PacketOutcome::Selected;
        };
        let same_client = (u32::from(entry.client) == self.from) == from_client;
        let (mine, theirs) = entry.split(self.from);
        // A server with SYN cookies chooses a new sequence number for each SYN-ACK. Until the client has acknowledged
        // one, another number is a retransmission.
        let unanswered = !from_client && (mine.seen & seen::ISN == 0 || theirs.seen & seen::ACKED == 0);
        let same_number = mine.seen & seen::ISN != 0 && mine.isn == self.segment.seq;
        // A late duplicate of a SYN that restarted the flow must not restart it again.
        let is_exempt = same_number && duplicate::is_exempt(mine, self.info.capture_point());
        if !is_exempt && frame.is_duplicate(&self.headers, self.flow(), self.info.capture_point(), mine, recent) {
            return PacketOutcome::Duplicate;
        }
        if !(same_client && (same_number || unanswered)) {
            let range = mine.range;
            self.selection.counters = entry.counters();
            self.init_entry(from_client);
            let (direction, _) = self.new_entry.split(self.from);
            direction.range = range;
            self.track_syn(now, config);
            *entry = self.new_entry;
            flows.touch(hash);
            self.fill_selection(class as u8, from_client, true, LatencyPoint::None, flag::RESTARTED | flag::TRACKED);
            return PacketOutcome::Selected;
        }
        if !same_number {
            start_selecting(mine, self.segment.seq, self.headers.src_port == SSH_PORT, config);
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        self.selection.counters = entry.counters();
        flows.touch(hash);
        self.fill_selection(class as u8, from_client, true, LatencyPoint::None, flag::TRACKED);
        PacketOutcome::Selected
    }

    /// Handles any other TCP packet. `known`: its flow may be tracked. Otherwise it matches a signature, or may be SSH.
    #[inline(always)]
    fn segment<B: SelectStages, F: Flows>(
        &mut self,
        frame: &B,
        known: bool,
        flows: &mut F,
        config: &FilterConfig,
    ) -> PacketOutcome {
        let hash = self.selection.hash;
        let mut found = if known { flows.find(&self.key, hash) } else { None };
        if found.is_none() {
            let start = stream_start(frame, &self.segment);
            let (class, from_client) = match start {
                StreamStart::ClientHello => (RecordClass::Tls, true),
                StreamStart::ServerHello => (RecordClass::Tls, false),
                StreamStart::Http1 | StreamStart::Http2 => (RecordClass::Http, true),
                StreamStart::None if !self.headers.may_be_ssh() => return PacketOutcome::Untracked,
                // The client is the peer of port 22, or the sender of the first segment.
                _ if self.segment.len > 0 => (RecordClass::Ssh, self.headers.src_port != SSH_PORT),
                _ if self.headers.flags == tcp_flag::ACK => (RecordClass::Ack, self.headers.src_port != SSH_PORT),
                _ => return PacketOutcome::Untracked,
            };
            self.init_entry(from_client);
            // Either side may send its identification string first.
            let is_known = start != StreamStart::Ssh || self.headers.may_be_ssh();
            let sender = if is_known { SenderRole::known(from_client) } else { SenderRole::Unknown };
            if self.is_filtered(frame, sender, config) {
                return PacketOutcome::Filtered;
            }
            if let RecordClass::Ssh = class {
                let (mine, _) = self.new_entry.split(self.from);
                mine.protocol = protocol::SSH;
            }
            flows.insert(hash, &self.new_entry);
            found = flows.find(&self.key, hash);
            if found.is_none() {
                self.selection.counters = FlowCounters::default();
                let whole = start != StreamStart::None;
                let flags = if whole { flag::RESYNC } else { 0 };
                self.fill_selection(class as u8, from_client, whole, LatencyPoint::None, flags);
                return PacketOutcome::Selected;
            }
        }
        let now = flows.now();
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            return PacketOutcome::Untracked;
        };
        let outcome = self.tracked::<B, F>(frame, entry, recent, now, config);
        match outcome {
            PacketOutcome::Duplicate => {}
            PacketOutcome::Done if config.accounting == 0 => {}
            _ => flows.touch(hash),
        }
        outcome
    }

    /// Handles a packet of a tracked flow.
    #[inline(always)]
    fn tracked<B: SelectStages, F: Flows>(
        &mut self,
        frame: &B,
        entry: &mut FlowEntry,
        recent: &mut F::Recent,
        now: u64,
        config: &FilterConfig,
    ) -> PacketOutcome {
        let from_client = u32::from(entry.client) == self.from;
        let (mine, theirs) = entry.split(self.from);
        if self.is_duplicate::<B, F>(frame, mine, recent) {
            return PacketOutcome::Duplicate;
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        let is_early_ack = self.early_ack_or_text(frame, mine, theirs);
        let has_payload = self.segment.len > 0;
        let mut interest = SegmentInterest::NotSelected as u8;
        if has_payload && !stream_select::is_done(frame, mine, &self.segment) {
            interest = stream_select::select_segment(frame, mine, &self.segment, config);
        }
        let is_selected = interest >= SegmentInterest::Selected as u8;
        let point = if from_client {
            let is_ack = self.headers.flags & tcp_flag::ACK != 0;
            let mut acks = is_ack && mine.seen & seen::ACKED != 0;
            if is_ack && mine.seen & seen::ASSURED == 0 {
                let ahead = self.acknowledged(frame, theirs.isn);
                if ahead <= MAX_UNACKNOWLEDGED {
                    mine.seen |= seen::ASSURED;
                }
                acks |= ahead as i32 >= 0;
            }
            client_point(mine, theirs, acks, has_payload)
        } else {
            server_point(mine, theirs, has_payload)
        };
        // An identification string inside HTTP does not make the flow SSH.
        let is_ssh = |direction: &DirectionState| direction.protocol == protocol::SSH;
        let client_protocol = if from_client { mine.protocol } else { theirs.protocol };
        let ssh =
            (is_ssh(mine) || is_ssh(theirs)) && client_protocol != protocol::HTTP && client_protocol != protocol::HTTP2;
        let class = if ssh && (has_payload || self.headers.flags == tcp_flag::ACK) {
            RecordClass::Ssh
        } else if is_selected {
            match class_of(mine.protocol) {
                // The flow is not SSH, although this direction is.
                RecordClass::Ssh => RecordClass::Tls,
                class => class,
            }
        } else if self.headers.flags & (tcp_flag::FIN | tcp_flag::RST) != 0 {
            RecordClass::End
        } else if point == LatencyPoint::FirstAck || is_early_ack {
            RecordClass::Ack
        } else if point == LatencyPoint::ClientReply {
            RecordClass::Latency
        } else if interest == SegmentInterest::OverBudget as u8 {
            return PacketOutcome::OverBudget;
        } else {
            return if is_direction_done(mine) && is_direction_done(theirs) {
                PacketOutcome::Done
            } else {
                PacketOutcome::Selecting
            };
        };
        let is_assured = is_assured(entry);
        self.selection.counters = entry.counters();
        let resync = if interest == SegmentInterest::Resync as u8 { flag::RESYNC } else { 0 };
        self.fill_selection(class as u8, from_client, is_selected, point, flag::TRACKED | resync);
        self.selection.limit = limit::index(class as u8, is_assured);
        PacketOutcome::Selected
    }

    /// Whether a packet of a tracked flow is an ACK without payload before the flow's protocol is known. Reads a segment
    /// that may be text.
    #[inline(always)]
    fn early_ack_or_text<B: SelectStages>(
        &mut self,
        frame: &B,
        mine: &mut DirectionState,
        theirs: &DirectionState,
    ) -> bool {
        if self.segment.len == 0 {
            return self.headers.flags == tcp_flag::ACK
                && mine.packets <= EARLY_ACKS
                && is_undecided(mine)
                && is_undecided(theirs);
        }
        if stream_select::may_be_text(mine) {
            frame.read_text(&mut self.segment, &mut self.words);
        } else if is_midstream(mine)
            && is_midstream(theirs)
            && self.headers.may_be_ssh()
            && stream_start(frame, &self.segment) == StreamStart::None
        {
            // The first packet of the flow was an ACK without payload: its identification string was not captured.
            mine.protocol = protocol::SSH;
        }
        false
    }

    /// Bytes acknowledged after the SYN with this sequence number; more than half of the number space, if the SYN itself is
    /// not acknowledged (RFC 9293, section 3.4).
    #[inline(always)]
    fn acknowledged<B: SelectStages>(&self, frame: &B, isn: u32) -> u32 {
        let ack = frame.window::<12>(self.headers.l4 as usize).map_or(0, |tcp| tcp.be32::<8>());
        ack.wrapping_sub(isn.wrapping_add(1))
    }

    /// Hash of one direction of the flow.
    #[inline(always)]
    fn flow(&self) -> u64 {
        self.selection.hash ^ u64::from(self.from)
    }

    /// Whether a packet of a tracked flow is a duplicate.
    #[inline(always)]
    fn is_duplicate<B: SelectStages, F: Flows>(
        &self,
        frame: &B,
        mine: &mut DirectionState,
        recent: &mut F::Recent,
    ) -> bool {
        let capture_point = self.info.capture_point();
        !duplicate::is_exempt(mine, capture_point)
            && frame.is_duplicate(&self.headers, self.flow(), capture_point, mine, recent)
    }

    /// Whether the first packet of a new flow is a duplicate. The flow's entry may have been evicted since.
    #[inline(always)]
    fn is_first_packet_duplicate<B: SelectStages, F: Flows>(&mut self, frame: &B, flows: &mut F) -> bool {
        let (flow, capture_point) = (self.flow(), self.info.capture_point());
        let (mine, _) = self.new_entry.split(self.from);
        frame.is_duplicate(&self.headers, flow, capture_point, mine, flows.recent())
    }

    /// Whether the capture filter excludes a new flow.
    #[inline(always)]
    fn is_filtered<B: SelectStages>(&mut self, frame: &B, sender: SenderRole, config: &FilterConfig) -> bool {
        let filter = &config.capture_filter;
        filter.is_configured() && !filter.accepts(frame.matching_terms(self, sender, config))
    }

    /// The terms of the capture filter that match a new flow, as a bit for each.
    #[inline(always)]
    pub fn matching_terms(&self, sender: SenderRole, config: &FilterConfig) -> u32 {
        let tags = match self.info.link {
            LinkHeader::OfOuterFrame => self.outer_tags,
            _ => self.headers.tags.inside(self.info.vlan),
        };
        config.capture_filter.matching_terms(&self.key, sender.client(self.from), tags)
    }

    /// Initializes `new_entry` with the key and the client.
    #[inline(always)]
    fn init_entry(&mut self, from_client: bool) {
        let client = if from_client { self.from } else { 1 - self.from };
        // Field by field: otherwise the compiler builds the entry on the stack, which has 512 bytes in the kernel.
        (self.new_entry.low, self.new_entry.high) = (DirectionState::default(), DirectionState::default());
        self.new_entry.key = self.key;
        self.new_entry.client = client as u8;
    }

    /// Completes `new_entry` for a flow that starts with this SYN or SYN-ACK.
    #[inline(always)]
    fn track_syn(&mut self, now: u64, config: &FilterConfig) {
        let is_ssh = self.headers.src_port == SSH_PORT;
        let (seq, packets, bytes) = (self.segment.seq, self.info.packets(), self.info.bytes(self.selection.wire_len));
        let (mine, _) = self.new_entry.split(self.from);
        (mine.packets, mine.bytes, mine.last_seen) = (packets, bytes, now);
        start_selecting(mine, seq, is_ssh, config);
    }

    /// Completes the selection.
    #[inline(always)]
    fn fill_selection(&mut self, class: u8, from_client: bool, whole: bool, point: LatencyPoint, flags: u16) {
        let client = if from_client { flag::FROM_CLIENT } else { 0 };
        let high = if self.from == 1 { flag::FROM_HIGH } else { 0 };
        let only = if whole { 0 } else { flag::HEADERS_ONLY };
        let end = if whole { self.segment.at + self.segment.len } else { self.segment.at };
        // Bytes after the end of a tunnel's payload are not captured: a longer inner packet counts as cut.
        let mut frame_end = self.selection.wire_len;
        if self.headers.inner != 0 && self.headers.tunnel_end < frame_end {
            frame_end = self.headers.tunnel_end;
        }
        self.selection.capture = if end > frame_end { frame_end } else { end };
        self.selection.flags = flags | client | high | only;
        self.selection.class = class;
        self.selection.limit = limit::index(class, false);
        self.selection.latency_point = point as u8;
    }
}

/// Whether the flow of a TCP packet is assured: the client has acknowledged the SYN-ACK, or both sides have sent packets
/// and the SYN-ACK was not captured.
#[inline(always)]
fn is_assured(entry: &FlowEntry) -> bool {
    let FlowEntry { low, high, client, .. } = entry;
    let (client, server) = if *client == client::LOW { (low, high) } else { (high, low) };
    if server.seen & seen::ISN != 0 {
        client.seen & seen::ASSURED != 0
    } else {
        client.packets != 0 && server.packets != 0
    }
}

/// Starts the selection of a direction, with the first payload after its SYN.
#[inline(always)]
fn start_selecting(mine: &mut DirectionState, seq: u32, is_ssh: bool, config: &FilterConfig) {
    mine.isn = seq;
    mine.mark = seq.wrapping_add(1);
    mine.budget = config.undecided_budget;
    mine.phase = phase::UNDECIDED;
    mine.seen |= if is_ssh { seen::ISN | seen::SSH_PORT } else { seen::ISN };
}

/// Protocol of a direction after a datagram: OpenVPN if the datagram starts an OpenVPN session, otherwise `before`.
#[inline(always)]
const fn datagram_protocol(kind: DatagramKind, before: u8) -> u8 {
    match kind {
        DatagramKind::OpenVpnClient | DatagramKind::OpenVpnServer => protocol::OPENVPN,
        _ => before,
    }
}

/// Most bytes that a server sends before the client's first acknowledgment: the window of a SYN is not scaled (RFC 7323,
/// section 2.2).
const MAX_UNACKNOWLEDGED: u32 = u16::MAX as u32;

/// Number of first packets of a direction of which ACKs without payload are selected while the protocol is unknown.
/// JA4SSH counts them if the protocol is SSH.
const EARLY_ACKS: u64 = 255;

/// Whether the protocol of a direction is unknown. It may be SSH, also after lines of text.
#[inline(always)]
fn is_undecided(direction: &DirectionState) -> bool {
    direction.phase == phase::UNDECIDED
        || direction.protocol == protocol::UNKNOWN
            && (direction.phase == phase::NEXT || direction.seen & seen::ISN == 0)
}

/// Whether the SYN of a direction was not captured, and no payload of it was selected.
#[inline(always)]
fn is_midstream(direction: &DirectionState) -> bool {
    direction.protocol == protocol::UNKNOWN && direction.seen & seen::ISN == 0
}

/// Whether only a segment that matches a signature is selected of a direction.
#[inline(always)]
fn is_direction_done(direction: &DirectionState) -> bool {
    matches!(direction.phase, phase::IDLE | phase::CLOSING | phase::NEXT) && direction.protocol != protocol::SSH
}

#[inline(always)]
fn client_point(mine: &mut DirectionState, theirs: &DirectionState, ack: bool, payload: bool) -> LatencyPoint {
    if mine.seen & seen::ACKED == 0 {
        if ack && theirs.seen & seen::ISN != 0 {
            mine.seen |= seen::ACKED;
            return LatencyPoint::FirstAck;
        }
        return LatencyPoint::None;
    }
    if !payload {
        return LatencyPoint::None;
    }
    if mine.seen & seen::DATA == 0 {
        mine.seen |= seen::DATA;
        return LatencyPoint::ClientData;
    }
    if theirs.seen & seen::DATA != 0 && mine.seen & (seen::ANSWERED | seen::TLS) == seen::TLS {
        mine.seen |= seen::ANSWERED;
        return LatencyPoint::ClientReply;
    }
    LatencyPoint::None
}

#[inline(always)]
fn server_point(mine: &mut DirectionState, theirs: &DirectionState, payload: bool) -> LatencyPoint {
    if payload && theirs.seen & seen::DATA != 0 && mine.seen & seen::DATA == 0 {
        mine.seen |= seen::DATA;
        return LatencyPoint::ServerData;
    }
    LatencyPoint::None
}
