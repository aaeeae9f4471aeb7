//! The decision over one frame: is it handshake-bearing?
//!
//! Selected are SYN and SYN-ACK with their retransmissions, the client's first ACK after, further bare
//! ACKs until the flow's protocol is known, every segment that [`crate::hunger`] wants, the
//! client's first payload after the server's, FIN or RST of a known flow, the segments of an SSH
//! connection, the datagrams that [`crate::datagram`] names, and what only userspace can open:
//! fragments, and tunnels inside tunnels. Everything else passes, counted by reason.

use crate::begin::Begin;
use crate::datagram::{self, Datagram};
use crate::duplicate;
use crate::flow::{Books, Direction, FlowEntry, FlowKey, Flows, protocol, seen};
use crate::headers::{
    self, Malformed, PROTO_GRE, PROTO_IPV4, PROTO_IPV6, PROTO_TCP, PROTO_UDP, Parsed, Start, Transport, tcp_flag,
};
use crate::hunger::{self, Segment, Want, phase};
use crate::knobs::Knobs;
use crate::quick::{self, Shape};
use crate::record::{FrameInfo, flag};
use crate::text;
pub use crate::verdict::{Class, Passed, Selection, Verdict, point};
use crate::{Bytes, Window};

/// Room for the judgement over one frame. The kernel keeps it in a per-CPU map: its stack is
/// 512 bytes, and what the verifier does not see it need not follow.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Work {
    /// The frame's record, if it is selected.
    pub selection: Selection,
    headers: Transport,
    key: FlowKey,
    newborn: FlowEntry,
    segment: Segment,
    /// What the hook knows of the frame.
    pub info: FrameInfo,
    /// Which end of the key sent the frame: 0 the low one, 1 the high one.
    from: u32,
    /// Room for the text of a segment.
    words: [u64; text::WORDS],
    /// The direction that a stage of the kernel half works on: a copy of what the flow's entry has.
    direction: Direction,
}

/// What the stages work on that the kernel half calls as global functions; see [`Work::stage`].
pub struct StageArguments<'a> {
    /// Headers of the frame.
    pub headers: &'a mut Transport,
    /// Payload of the frame.
    pub segment: &'a mut Segment,
    /// Room for the text of the payload.
    pub words: &'a mut [u64; text::WORDS],
    /// Room for a copy of the direction that sent the frame.
    pub direction: &'a mut Direction,
}

/// The port of SSH: a fallback for connections whose banner was not seen.
pub(crate) const SSH_PORT: u16 = 22;

/// Judges one frame and brings the flow's entry up to date. `info` is asked only where it is needed.
#[inline(always)]
pub fn select<B: Bytes, F: Flows>(
    frame: &B,
    start: Start,
    info: impl FnOnce() -> FrameInfo,
    flows: &mut F,
    knobs: &Knobs,
    work: &mut Work,
) -> Verdict {
    let mut shape = Shape::Odd;
    if let Start::Ethernet = start {
        shape = quick::shape(frame, flows, knobs.seed, &mut work.headers, &mut work.selection.hash);
    }
    match shape {
        Shape::Stranger => return Verdict::Unselected(Passed::Untracked),
        Shape::StrangeDatagram => return Verdict::Unselected(Passed::Udp),
        Shape::Parsed | Shape::BulkDatagram => {}
        Shape::Odd => {
            let parsed = headers::parse(frame, start, &mut work.headers);
            let work = frame.settle(work);
            match parsed {
                Parsed::Transport => {}
                Parsed::NotIp => return Verdict::Unselected(Passed::NotIp),
                Parsed::OtherProtocol => return Verdict::Unselected(Passed::OtherProtocol),
                Parsed::Malformed(reason) => return Verdict::Unparseable(reason),
                Parsed::Fragment if !may_matter(&work.headers) => return Verdict::Unselected(Passed::Fragment),
                Parsed::Fragment => return work.by_addresses(frame, Class::Fragment, info, knobs),
                Parsed::Nested => return work.by_addresses(frame, Class::Nested, info, knobs),
            }
            work.selection.hash = work.headers.hash(knobs.seed);
        }
    }
    let work = frame.settle(work);
    let Transport { payload, payload_len, seq, flags: tcp, .. } = work.headers;
    let hash = work.selection.hash;
    let opens = tcp & tcp_flag::SYN != 0 && tcp & (tcp_flag::RST | tcp_flag::FIN) == 0;
    work.segment = Segment { seq, at: payload, len: payload_len, text: text::NONE };
    if work.headers.proto == PROTO_UDP {
        work.describe(frame, info());
        let outcome = frame.datagram(work, shape == Shape::BulkDatagram, flows, knobs);
        return outcome.verdict(Passed::Udp);
    }
    let mut known = false;
    if !opens {
        // Bulk packets of strangers end here. Without accounting the filter knows hungry flows
        // only, and an end must be looked for.
        known = flows.maybe(hash) || (knobs.accounting == 0 && tcp & (tcp_flag::FIN | tcp_flag::RST) != 0);
        if !known && !work.headers.may_be_ssh() && hunger::begins(frame, &work.segment) == Begin::Nothing {
            return Verdict::Unselected(Passed::Untracked);
        }
    }
    work.describe(frame, info());
    if work.is_short() {
        return Verdict::Unparseable(Malformed::IpLength);
    }
    let outcome = if opens { frame.opening(work, flows, knobs) } else { work.segment(frame, known, flows, knobs) };
    outcome.verdict(Passed::Untracked)
}

/// Whether fragments of this protocol could belong to a flow of interest.
#[inline(always)]
const fn may_matter(fragment: &Transport) -> bool {
    // In IPv6 further extension headers may be in the part that was cut (RFC 8200, section 4.5).
    matches!(fragment.proto, PROTO_TCP | PROTO_UDP | PROTO_GRE | PROTO_IPV4 | PROTO_IPV6)
        || fragment.version == 6 && headers::is_extension(fragment.proto)
}

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// To be selected.
    Wanted,
    /// Not wanted, but later packets may be.
    Hungry,
    /// Not wanted, and nor are later ones but for a new hello.
    Quiet,
    /// Of a flow that is not known.
    Stranger,
    /// Seen by another capture point.
    Duplicate,
    /// The first that the budget has no room for.
    Spent,
    /// Cut: the frame has fewer bytes on the wire than its IP header announces.
    Short,
}

impl Outcome {
    /// The outcome with this number, as a global BPF function returns it.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Wanted,
            1 => Self::Hungry,
            2 => Self::Quiet,
            4 => Self::Duplicate,
            5 => Self::Spent,
            6 => Self::Short,
            _ => Self::Stranger,
        }
    }

    /// The verdict; a packet of an untracked flow is counted as `untracked`.
    #[inline(always)]
    const fn verdict(self, untracked: Passed) -> Verdict {
        match self {
            Self::Wanted => Verdict::Selected,
            Self::Hungry | Self::Quiet => Verdict::Unselected(Passed::Tracked),
            Self::Stranger => Verdict::Unselected(untracked),
            Self::Duplicate => Verdict::Unselected(Passed::Duplicate),
            Self::Spent => Verdict::Unselected(Passed::Spent),
            Self::Short => Verdict::Unparseable(Malformed::IpLength),
        }
    }
}

impl Work {
    /// What a stage works on. A global BPF function finds it by itself: Linux before 5.12 passes no pointer to one.
    #[inline(always)]
    pub const fn stage(&mut self) -> StageArguments<'_> {
        let Self { headers, segment, words, direction, .. } = self;
        StageArguments { headers, segment, words, direction }
    }

    /// Notes what every record of the frame says.
    #[inline(always)]
    fn describe<B: Bytes>(&mut self, frame: &B, info: FrameInfo) {
        (self.key, self.from) = FlowKey::of(&self.headers);
        self.info = info;
        self.selection.wire_len = frame.wire_len() as u32;
        self.selection.payload_len = self.headers.payload_len;
        self.selection.l3 = self.headers.l3 as u16;
        self.selection.l4 = self.headers.l4 as u16;
        self.selection.payload = self.headers.payload as u16;
    }

    /// Whether the frame had fewer bytes on the wire than its IP header announces.
    #[inline(always)]
    fn is_short(&self) -> bool {
        let Segment { at, len, .. } = self.segment;
        // A mirror may cut what it sends through a tunnel.
        at + len > self.selection.wire_len && self.headers.inner == 0
    }

    /// A frame that says no more than its addresses, and goes whole to the shard of these.
    #[inline(always)]
    fn by_addresses<B: Bytes>(
        &mut self,
        frame: &B,
        class: Class,
        info: impl FnOnce() -> FrameInfo,
        knobs: &Knobs,
    ) -> Verdict {
        self.selection.hash = self.headers.hash_of_addresses(knobs.seed);
        self.headers.payload = self.headers.l4;
        self.describe(frame, info());
        self.selection.books = Books::default();
        let wire_len = self.selection.wire_len;
        self.segment = Segment { seq: 0, at: wire_len, len: 0, text: text::NONE };
        self.choose(class, false, true, point::NONE, 0);
        Verdict::Selected
    }

    /// A UDP datagram, of a tracked flow or the first of a new one. `is_bulk`: its flow may be known, and it is
    /// nothing that is looked for.
    #[inline(always)]
    pub fn datagram<B: Bytes, F: Flows>(&mut self, frame: &B, is_bulk: bool, flows: &mut F, knobs: &Knobs) -> Outcome {
        let (mut kind, mut known) = (Datagram::Other, true);
        if !is_bulk {
            kind = datagram::classify(frame, &self.headers);
            known = flows.maybe(self.selection.hash);
        }
        if !known && !kind.begins() {
            return Outcome::Stranger;
        }
        if self.is_short() {
            return Outcome::Short;
        }
        let now = flows.now();
        let hash = self.selection.hash;
        let found = if known { flows.find(&self.key, hash) } else { None };
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            if !kind.begins() {
                return Outcome::Stranger;
            }
            self.meet(kind.from_client());
            if self.is_first_packet_duplicate(frame, flows) {
                return Outcome::Duplicate;
            }
            let (mine, _) = self.newborn.split(self.from);
            mine.protocol = datagram_protocol(kind, 0);
            (mine.packets, mine.bytes) = (self.info.packets(), self.info.bytes(self.selection.wire_len));
            mine.last_seen = now;
            let kept = flows.insert(hash, &self.newborn);
            self.selection.books = self.newborn.books();
            self.choose_datagram(kind, kind.from_client(), if kept { flag::TRACKED } else { 0 });
            return Outcome::Wanted;
        };
        let from_client = u32::from(entry.client) == self.from;
        let (mine, theirs) = entry.split(self.from);
        let point = self.info.point();
        if !duplicate::is_settled(mine, point) && frame.is_duplicate(&self.headers, self.flow(), point, mine, recent) {
            return Outcome::Duplicate;
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        mine.protocol = datagram_protocol(kind, mine.protocol);
        let is_openvpn = mine.protocol == protocol::OPENVPN || theirs.protocol == protocol::OPENVPN;
        if kind == Datagram::Other || (kind == Datagram::OpenVpn && !is_openvpn) {
            // Without accounting, bulk packets are not worth a look-up for long.
            if knobs.accounting != 0 {
                flows.touch(hash);
            }
            return Outcome::Quiet;
        }
        self.selection.books = entry.books();
        flows.touch(hash);
        self.choose_datagram(kind, from_client, flag::TRACKED);
        Outcome::Wanted
    }

    /// Completes `selection` for a datagram.
    #[inline(always)]
    fn choose_datagram(&mut self, kind: Datagram, from_client: bool, flags: u16) {
        let class = match kind {
            Datagram::QuicInitial | Datagram::QuicShortInitial | Datagram::QuicRetry | Datagram::QuicBeforeInitial => {
                Class::Quic
            }
            Datagram::QuicHandshake => {
                if self.segment.len > datagram::QUIC_HEADER {
                    self.segment.len = datagram::QUIC_HEADER;
                }
                Class::Quic
            }
            Datagram::DhcpClient | Datagram::DhcpServer => Class::Dhcp,
            Datagram::OpenVpnClient | Datagram::OpenVpnServer | Datagram::OpenVpn => Class::Tls,
            _ => Class::Dtls,
        };
        self.choose(class, from_client, true, point::NONE, flags);
    }

    /// A SYN or SYN-ACK: it starts a flow, restarts one, or is a retransmission.
    #[inline(always)]
    pub fn opening<B: Bytes, F: Flows>(&mut self, frame: &B, flows: &mut F, knobs: &Knobs) -> Outcome {
        let now = flows.now();
        let from_client = self.headers.flags & tcp_flag::ACK == 0;
        let class = if from_client { Class::Syn } else { Class::SynAck };
        let hash = self.selection.hash;
        let found = if flows.maybe(hash) { flows.find(&self.key, hash) } else { None };
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            self.meet(from_client);
            if self.is_first_packet_duplicate(frame, flows) {
                return Outcome::Duplicate;
            }
            self.give_birth(now, knobs);
            let kept = flows.insert(hash, &self.newborn);
            self.choose(class, from_client, true, point::NONE, if kept { flag::TRACKED } else { 0 });
            self.selection.books = self.newborn.books();
            return Outcome::Wanted;
        };
        let same_client = (u32::from(entry.client) == self.from) == from_client;
        let (mine, theirs) = entry.split(self.from);
        // A server that answers with SYN cookies sends a new number each time, so until the client
        // has acknowledged one, another is a retransmission.
        let unanswered = !from_client && (mine.seen & seen::ISN == 0 || theirs.seen & seen::ACKED == 0);
        let same_number = mine.seen & seen::ISN != 0 && mine.isn == self.segment.seq;
        // A late duplicate of a SYN that restarts the flow must not restart it once more.
        let is_settled = same_number && duplicate::is_settled(mine, self.info.point());
        if !is_settled && frame.is_duplicate(&self.headers, self.flow(), self.info.point(), mine, recent) {
            return Outcome::Duplicate;
        }
        if !(same_client && (same_number || unanswered)) {
            let range = mine.range;
            self.selection.books = entry.books();
            self.meet(from_client);
            let (half, _) = self.newborn.split(self.from);
            half.range = range;
            self.give_birth(now, knobs);
            *entry = self.newborn;
            flows.touch(hash);
            self.choose(class, from_client, true, point::NONE, flag::RESTARTED | flag::TRACKED);
            return Outcome::Wanted;
        }
        if !same_number {
            make_hungry(mine, self.segment.seq, self.headers.src_port == SSH_PORT, knobs);
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        self.selection.books = entry.books();
        flows.touch(hash);
        self.choose(class, from_client, true, point::NONE, flag::TRACKED);
        Outcome::Wanted
    }

    /// Any other TCP packet of a flow that may be `known`, or that begins with a hello.
    #[inline(always)]
    fn segment<B: Bytes, F: Flows>(&mut self, frame: &B, known: bool, flows: &mut F, knobs: &Knobs) -> Outcome {
        let hash = self.selection.hash;
        let mut found = if known { flows.find(&self.key, hash) } else { None };
        if found.is_none() {
            let begin = hunger::begins(frame, &self.segment);
            let (class, from_client) = match begin {
                Begin::ClientHello => (Class::Tls, true),
                Begin::ServerHello => (Class::Tls, false),
                Begin::Http1 | Begin::Http2 => (Class::Http, true),
                Begin::Nothing if !self.headers.may_be_ssh() => return Outcome::Stranger,
                // The client is the peer of port 22; else who speaks first.
                _ if self.segment.len > 0 => (Class::Ssh, self.headers.src_port != SSH_PORT),
                _ if self.headers.flags == tcp_flag::ACK => (Class::Ack, self.headers.src_port != SSH_PORT),
                _ => return Outcome::Stranger,
            };
            self.meet(from_client);
            if let Class::Ssh = class {
                let (mine, _) = self.newborn.split(self.from);
                mine.protocol = protocol::SSH;
            }
            flows.insert(hash, &self.newborn);
            found = flows.find(&self.key, hash);
            if found.is_none() {
                self.selection.books = Books::default();
                let whole = begin != Begin::Nothing;
                self.choose(class, from_client, whole, point::NONE, if whole { flag::ANEW } else { 0 });
                return Outcome::Wanted;
            }
        }
        let now = flows.now();
        let Some((entry, recent)) = found.and_then(|handle| flows.entry(handle)) else {
            return Outcome::Stranger;
        };
        let outcome = self.tracked::<B, F>(frame, entry, recent, now, knobs);
        match outcome {
            Outcome::Duplicate => {}
            Outcome::Quiet if knobs.accounting == 0 => {}
            _ => flows.touch(hash),
        }
        outcome
    }

    /// A packet of a known flow.
    #[inline(always)]
    fn tracked<B: Bytes, F: Flows>(
        &mut self,
        frame: &B,
        entry: &mut FlowEntry,
        recent: &mut F::Recent,
        now: u64,
        knobs: &Knobs,
    ) -> Outcome {
        let from_client = u32::from(entry.client) == self.from;
        let (mine, theirs) = entry.split(self.from);
        let point = self.info.point();
        if !duplicate::is_settled(mine, point) && frame.is_duplicate(&self.headers, self.flow(), point, mine, recent) {
            return Outcome::Duplicate;
        }
        F::count(mine, self.info.packets(), self.info.bytes(self.selection.wire_len));
        mine.last_seen = now;
        let is_early_ack = self.prepare(frame, mine, theirs);
        let has_payload = self.segment.len > 0;
        let mut want = Want::No as u8;
        if has_payload && !hunger::is_sated(frame, mine, &self.segment) {
            want = hunger::wants(frame, mine, &self.segment, knobs);
        }
        let wanted = want >= Want::Yes as u8;
        let point = if from_client {
            let is_ack = self.headers.flags & tcp_flag::ACK != 0;
            let acks = is_ack && (mine.seen & seen::ACKED != 0 || self.acknowledges(frame, theirs.isn));
            client_point(mine, theirs, acks, has_payload)
        } else {
            server_point(mine, theirs, has_payload)
        };
        // A banner in the middle of something else makes no SSH of it.
        let says = |direction: &Direction| direction.protocol == protocol::SSH;
        let asks = if from_client { mine.protocol } else { theirs.protocol };
        let ssh = (says(mine) || says(theirs)) && asks != protocol::HTTP && asks != protocol::HTTP2;
        let class = if ssh && (has_payload || self.headers.flags == tcp_flag::ACK) {
            Class::Ssh
        } else if wanted {
            match mine.protocol {
                protocol::HTTP | protocol::HTTP2 => Class::Http,
                _ => Class::Tls,
            }
        } else if self.headers.flags & (tcp_flag::FIN | tcp_flag::RST) != 0 {
            Class::End
        } else if point == point::C || is_early_ack {
            Class::Ack
        } else if point == point::F {
            Class::Latency
        } else if want == Want::Spent as u8 {
            return Outcome::Spent;
        } else {
            return if is_quiet(mine) && is_quiet(theirs) { Outcome::Quiet } else { Outcome::Hungry };
        };
        self.selection.books = entry.books();
        let anew = if want == Want::Anew as u8 { flag::ANEW } else { 0 };
        self.choose(class, from_client, wanted, point, flag::TRACKED | anew);
        Outcome::Wanted
    }

    /// Whether a packet of a tracked flow is a bare ACK before the flow's protocol is known. A segment that may be text
    /// is read as text.
    #[inline(always)]
    fn prepare<B: Bytes>(&mut self, frame: &B, mine: &mut Direction, theirs: &Direction) -> bool {
        if self.segment.len == 0 {
            return self.headers.flags == tcp_flag::ACK
                && mine.packets <= EARLY_ACKS
                && is_undecided(mine)
                && is_undecided(theirs);
        }
        if hunger::may_be_text(mine) {
            frame.read_text(&mut self.segment, &mut self.words);
        } else if is_midstream(mine)
            && is_midstream(theirs)
            && self.headers.may_be_ssh()
            && hunger::begins(frame, &self.segment) == Begin::Nothing
        {
            // The flow began with a bare ACK, and its banner was not captured.
            mine.protocol = protocol::SSH;
        }
        false
    }

    /// Whether the acknowledgment number covers the SYN of this number (specification, section 15.9).
    #[inline(always)]
    fn acknowledges<B: Bytes>(&self, frame: &B, isn: u32) -> bool {
        let ack = frame.window::<12>(self.headers.l4 as usize).map_or(0, |tcp| tcp.be32::<8>());
        ack.wrapping_sub(isn.wrapping_add(1)) as i32 >= 0
    }

    /// Hash of the flow that differs between its directions.
    #[inline(always)]
    fn flow(&self) -> u64 {
        self.selection.hash ^ u64::from(self.from)
    }

    /// Whether the first packet of a new flow is a duplicate: the flow's entry may have been evicted in between.
    #[inline(always)]
    fn is_first_packet_duplicate<B: Bytes, F: Flows>(&mut self, frame: &B, flows: &mut F) -> bool {
        let (flow, point) = (self.flow(), self.info.point());
        let (mine, _) = self.newborn.split(self.from);
        frame.is_duplicate(&self.headers, flow, point, mine, flows.recent())
    }

    /// `newborn` becomes the entry of a flow of which only the client is known.
    #[inline(always)]
    fn meet(&mut self, from_client: bool) {
        let client = if from_client { self.from } else { 1 - self.from };
        // Field by field, or the compiler builds the entry on the kernel's stack of 512 bytes.
        (self.newborn.low, self.newborn.high) = (Direction::default(), Direction::default());
        self.newborn.key = self.key;
        self.newborn.client = client as u8;
    }

    /// Completes the entry of the new flow that this SYN or SYN-ACK begins; so far only its client is known.
    #[inline(always)]
    fn give_birth(&mut self, now: u64, knobs: &Knobs) {
        let is_ssh = self.headers.src_port == SSH_PORT;
        let (seq, packets, bytes) = (self.segment.seq, self.info.packets(), self.info.bytes(self.selection.wire_len));
        let (mine, _) = self.newborn.split(self.from);
        (mine.packets, mine.bytes, mine.last_seen) = (packets, bytes, now);
        make_hungry(mine, seq, is_ssh, knobs);
    }

    /// Completes `selection`.
    #[inline(always)]
    fn choose(&mut self, class: Class, from_client: bool, whole: bool, point: u8, flags: u16) {
        let client = if from_client { flag::FROM_CLIENT } else { 0 };
        let high = if self.from == 1 { flag::FROM_HIGH } else { 0 };
        let only = if whole { 0 } else { flag::HEADERS_ONLY };
        let end = if whole { self.segment.at + self.segment.len } else { self.segment.at };
        // Bytes behind the end of a tunnel's payload are not captured: a packet that goes on there counts as cut.
        let mut frame_end = self.selection.wire_len;
        if self.headers.inner != 0 && self.headers.tunnel_end < frame_end {
            frame_end = self.headers.tunnel_end;
        }
        self.selection.capture = if end > frame_end { frame_end } else { end };
        self.selection.flags = flags | client | high | only;
        self.selection.class = class as u8;
        self.selection.point = point;
    }
}

impl Transport {
    /// Whether a port is that of SSH.
    #[inline(always)]
    pub(crate) const fn may_be_ssh(&self) -> bool {
        self.src_port == SSH_PORT || self.dst_port == SSH_PORT
    }
}

/// Selects the first payload of a direction, which follows the SYN.
#[inline(always)]
fn make_hungry(mine: &mut Direction, seq: u32, is_ssh: bool, knobs: &Knobs) {
    mine.isn = seq;
    mine.mark = seq.wrapping_add(1);
    mine.budget = knobs.fresh_budget;
    mine.phase = phase::FRESH;
    mine.seen |= if is_ssh { seen::ISN | seen::SSH_PORT } else { seen::ISN };
}

/// Protocol of a direction after a datagram: `before`, unless the datagram shows that it is OpenVPN.
#[inline(always)]
const fn datagram_protocol(kind: Datagram, before: u8) -> u8 {
    match kind {
        Datagram::OpenVpnClient | Datagram::OpenVpnServer => protocol::OPENVPN,
        _ => before,
    }
}

/// Packets of one direction within which its bare ACKs are selected while the flow's protocol is unknown: if it turns
/// out to be SSH, JA4SSH counts them.
const EARLY_ACKS: u64 = 255;

/// Whether a direction's protocol is still unknown: it may turn out to be SSH, also behind lines of text.
#[inline(always)]
fn is_undecided(direction: &Direction) -> bool {
    direction.phase == phase::FRESH
        || direction.protocol == protocol::UNKNOWN
            && (direction.phase == phase::NEXT || direction.seen & seen::ISN == 0)
}

/// Whether the SYN of a direction was not seen, and nothing of its stream was selected.
#[inline(always)]
fn is_midstream(direction: &Direction) -> bool {
    direction.protocol == protocol::UNKNOWN && direction.seen & seen::ISN == 0
}

/// Whether a direction wants nothing more than a hello at the start of a segment.
#[inline(always)]
fn is_quiet(direction: &Direction) -> bool {
    matches!(direction.phase, phase::IDLE | phase::CLOSING | phase::NEXT) && direction.protocol != protocol::SSH
}

#[inline(always)]
fn client_point(mine: &mut Direction, theirs: &Direction, ack: bool, payload: bool) -> u8 {
    if mine.seen & seen::ACKED == 0 {
        if ack && theirs.seen & seen::ISN != 0 {
            mine.seen |= seen::ACKED;
            return point::C;
        }
        return point::NONE;
    }
    if !payload {
        return point::NONE;
    }
    if mine.seen & seen::DATA == 0 {
        mine.seen |= seen::DATA;
        return point::D;
    }
    if theirs.seen & seen::DATA != 0 && mine.seen & (seen::ANSWERED | seen::TLS) == seen::TLS {
        mine.seen |= seen::ANSWERED;
        return point::F;
    }
    point::NONE
}

#[inline(always)]
fn server_point(mine: &mut Direction, theirs: &Direction, payload: bool) -> u8 {
    if payload && theirs.seen & seen::DATA != 0 && mine.seen & seen::DATA == 0 {
        mine.seen |= seen::DATA;
        return point::E;
    }
    point::NONE
}
