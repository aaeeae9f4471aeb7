//! The decision over one frame: is it handshake-bearing?
//!
//! Selected are SYN and SYN-ACK with their retransmissions, the client's first ACK after, every
//! segment that [`crate::hunger`] wants, the client's first payload after the server's, and FIN or
//! RST of a known flow. Everything else passes, counted by reason.

use crate::Bytes;
use crate::flow::{Books, Direction, FlowEntry, FlowKey, Flows, seen};
use crate::headers::{self, Malformed, PROTO_TCP, Parsed, Start, Transport, tcp_flag};
use crate::hunger::{self, Segment, phase};
use crate::knobs::Knobs;
use crate::quick::{self, Shape};
use crate::record::{FrameInfo, flag};

/// Why a frame was selected: the class of its record, and of its counters and governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// SYN, first or repeated.
    Syn,
    /// SYN-ACK, first or repeated.
    SynAck,
    /// The client's first ACK after the SYN-ACK.
    Ack,
    /// Payload that may carry a TLS handshake.
    Tls,
    /// The client's first payload after the server's.
    Latency,
    /// FIN or RST of a known flow.
    End,
}

impl Class {
    /// Number of classes.
    pub const COUNT: usize = 6;
    /// Every class, in the order of its counter.
    pub const ALL: [Self; Self::COUNT] = [Self::Syn, Self::SynAck, Self::Ack, Self::Tls, Self::Latency, Self::End];

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Ack => "ack",
            Self::Tls => "tls",
            Self::Latency => "latency",
            Self::End => "end",
        }
    }
}

/// Why a frame was let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Passed {
    /// Not IPv4 or IPv6.
    NotIp,
    /// IP fragment.
    Fragment,
    /// IP, but neither TCP nor UDP.
    OtherProtocol,
    /// UDP.
    Udp,
    /// TCP of a flow that is not known.
    Untracked,
    /// TCP of a known flow, and nothing that is wanted.
    Tracked,
    /// A packet already met on another interface or hook.
    Copy,
}

impl Passed {
    /// Number of reasons.
    pub const COUNT: usize = 7;
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; Self::COUNT] =
        [Self::NotIp, Self::Fragment, Self::OtherProtocol, Self::Udp, Self::Untracked, Self::Tracked, Self::Copy];

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Fragment => "fragment",
            Self::OtherProtocol => "other_protocol",
            Self::Udp => "udp",
            Self::Untracked => "untracked",
            Self::Tracked => "tracked",
            Self::Copy => "copy",
        }
    }
}

/// The points in time that JA4L and JA4LS are made of (specification, section 6).
pub mod point {
    /// None of them.
    pub const NONE: u8 = 0;
    /// The client's first ACK after the SYN-ACK.
    pub const C: u8 = 3;
    /// The client's first payload after C.
    pub const D: u8 = 4;
    /// The server's first payload after D.
    pub const E: u8 = 5;
    /// The client's first payload after E.
    pub const F: u8 = 6;
}

/// What became of one frame.
// The tag comes first: BTF cannot describe the enum where rustc hides it in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It passes, and its record, described by [`Work::selection`], goes to the flow's shard.
    Selected,
    /// It passes.
    Unselected(Passed),
    /// It passes, and is too broken to judge.
    Unparseable(Malformed),
}

/// A selected frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Selection {
    /// Hash of the flow.
    pub hash: u64,
    /// The flow's counts.
    pub books: Books,
    /// Bytes of the frame that are wanted, from its start.
    pub capture: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_len: u32,
    /// Payload length that the IP header announces, bytes.
    pub payload_len: u32,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the TCP or UDP header.
    pub l4: u16,
    /// Offset of the payload.
    pub payload: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Why: a [`Class`] as its number.
    pub class: u8,
    /// One of [`point`].
    pub point: u8,
}

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
}

/// After this long without a packet at its place, a direction may move to another interface.
const REBIND_AFTER: u64 = 1_000_000_000;

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
    if shape == Shape::Stranger {
        return Verdict::Unselected(Passed::Untracked);
    }
    if shape == Shape::Odd {
        match headers::parse(frame, start, &mut work.headers) {
            Parsed::Transport => {}
            Parsed::NotIp => return Verdict::Unselected(Passed::NotIp),
            Parsed::Fragment => return Verdict::Unselected(Passed::Fragment),
            Parsed::OtherProtocol => return Verdict::Unselected(Passed::OtherProtocol),
            Parsed::Malformed(reason) => return Verdict::Unparseable(reason),
        }
        if work.headers.proto != PROTO_TCP {
            return Verdict::Unselected(Passed::Udp);
        }
        work.selection.hash = work.headers.hash(knobs.seed);
    }
    let work = frame.settle(work);
    let Transport { payload, payload_len, seq, flags: tcp, .. } = work.headers;
    let hash = work.selection.hash;
    let opens = tcp & tcp_flag::SYN != 0 && tcp & (tcp_flag::RST | tcp_flag::FIN) == 0;
    work.segment = Segment { seq, at: payload, len: payload_len };
    let mut known = false;
    if !opens {
        // Bulk packets of strangers end here. Without accounting the filter knows hungry flows
        // only, and an end must be looked for.
        known = flows.maybe(hash) || (knobs.accounting == 0 && tcp & (tcp_flag::FIN | tcp_flag::RST) != 0);
        if !known && hunger::begins_with_hello(frame, &work.segment).is_none() {
            return Verdict::Unselected(Passed::Untracked);
        }
    }
    (work.key, work.from) = FlowKey::of(&work.headers);
    work.info = info();
    work.selection.wire_len = frame.wire_len() as u32;
    work.selection.payload_len = payload_len;
    work.selection.l3 = work.headers.l3 as u16;
    work.selection.l4 = work.headers.l4 as u16;
    work.selection.payload = payload as u16;
    let outcome = if opens { work.opening(flows, knobs) } else { work.segment(frame, known, flows, knobs) };
    match outcome {
        Outcome::Wanted => Verdict::Selected,
        Outcome::Hungry | Outcome::Quiet => Verdict::Unselected(Passed::Tracked),
        Outcome::Stranger => Verdict::Unselected(Passed::Untracked),
        Outcome::Copy => Verdict::Unselected(Passed::Copy),
    }
}

/// What a packet turned out to be.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Outcome {
    /// To be selected.
    Wanted,
    /// Not wanted, but later packets may be.
    Hungry,
    /// Not wanted, and nor are later ones but for a new hello.
    Quiet,
    /// Of a flow that is not known.
    Stranger,
    /// Met before.
    Copy,
}

impl Work {
    /// A SYN or SYN-ACK: it starts a flow, restarts one, or is a retransmission.
    // A function of its own in the kernel, as are those below: less stack, and less to verify.
    #[cfg_attr(target_arch = "bpf", inline(never))]
    fn opening<F: Flows>(&mut self, flows: &mut F, knobs: &Knobs) -> Outcome {
        let now = flows.now();
        let from_client = self.headers.flags & tcp_flag::ACK == 0;
        let class = if from_client { Class::Syn } else { Class::SynAck };
        let hash = self.selection.hash;
        let found = if flows.maybe(hash) { flows.find(&self.key, hash) } else { None };
        let Some(entry) = found.and_then(|handle| flows.entry(handle)) else {
            self.give_birth(from_client, now, knobs);
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
        if !(same_client && (same_number || unanswered)) {
            self.selection.books = entry.books();
            self.give_birth(from_client, now, knobs);
            *entry = self.newborn;
            flows.touch(hash);
            self.choose(class, from_client, true, point::NONE, flag::RESTARTED | flag::TRACKED);
            return Outcome::Wanted;
        }
        if self.is_copy(mine, now) {
            return Outcome::Copy;
        }
        if !same_number {
            self.make_hungry(mine, knobs);
        }
        F::count(mine, self.info.packets(), u64::from(self.selection.wire_len));
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
            let Some(hello) = hunger::begins_with_hello(frame, &self.segment) else {
                return Outcome::Stranger;
            };
            self.meet(hello == 1);
            flows.insert(hash, &self.newborn);
            found = flows.find(&self.key, hash);
            if found.is_none() {
                self.selection.books = Books::default();
                self.choose(Class::Tls, hello == 1, true, point::NONE, 0);
                return Outcome::Wanted;
            }
        }
        let now = flows.now();
        let Some(entry) = found.and_then(|handle| flows.entry(handle)) else {
            return Outcome::Stranger;
        };
        let outcome = self.tracked::<B, F>(frame, entry, now, knobs);
        match outcome {
            Outcome::Copy => {}
            Outcome::Quiet if knobs.accounting == 0 => flows.forget(hash),
            _ => flows.touch(hash),
        }
        outcome
    }

    /// A packet of a known flow.
    #[inline(always)]
    fn tracked<B: Bytes, F: Flows>(&mut self, frame: &B, entry: &mut FlowEntry, now: u64, knobs: &Knobs) -> Outcome {
        let from_client = u32::from(entry.client) == self.from;
        let (mine, theirs) = entry.split(self.from);
        if self.is_copy(mine, now) {
            return Outcome::Copy;
        }
        F::count(mine, self.info.packets(), u64::from(self.selection.wire_len));
        mine.last_seen = now;
        let has_payload = self.segment.len > 0;
        let wanted = has_payload
            && !hunger::is_sated(frame, mine, &self.segment)
            && hunger::wants(frame, mine, &self.segment, knobs);
        let point = if from_client {
            client_point(mine, theirs, self.headers.flags & tcp_flag::ACK != 0, has_payload)
        } else {
            server_point(mine, theirs, has_payload)
        };
        let class = if wanted {
            Class::Tls
        } else if self.headers.flags & (tcp_flag::FIN | tcp_flag::RST) != 0 {
            Class::End
        } else if point == point::C {
            Class::Ack
        } else if point == point::F {
            Class::Latency
        } else {
            return if is_quiet(mine) && is_quiet(theirs) { Outcome::Quiet } else { Outcome::Hungry };
        };
        self.selection.books = entry.books();
        self.choose(class, from_client, wanted, point, flag::TRACKED);
        Outcome::Wanted
    }

    /// Whether another interface or hook already reports this direction: a forwarded packet meets
    /// two hooks, and counts once.
    #[inline(always)]
    fn is_copy(&self, mine: &mut Direction, now: u64) -> bool {
        let place = self.info.place();
        if mine.place == place {
            return false;
        }
        let copy = mine.packets > 0 && now.saturating_sub(mine.last_seen) < REBIND_AFTER;
        if !copy {
            mine.place = place;
        }
        copy
    }

    /// Makes a direction hungry for its first payload, which follows the SYN.
    #[inline(always)]
    fn make_hungry(&self, mine: &mut Direction, knobs: &Knobs) {
        mine.isn = self.segment.seq;
        mine.mark = self.segment.seq.wrapping_add(1);
        mine.budget = knobs.fresh_budget;
        mine.phase = phase::FRESH;
        mine.seen |= seen::ISN;
        mine.place = self.info.place();
    }

    /// `newborn` becomes the entry of a flow of which only the client is known.
    #[inline(always)]
    fn meet(&mut self, from_client: bool) {
        let client = if from_client { self.from } else { 1 - self.from };
        self.newborn = FlowEntry { key: self.key, client: client as u8, ..FlowEntry::default() };
    }

    /// `newborn` becomes the entry of a flow that this SYN or SYN-ACK begins.
    #[inline(always)]
    fn give_birth(&mut self, from_client: bool, now: u64, knobs: &Knobs) {
        self.meet(from_client);
        let mut mine = Direction { packets: self.info.packets(), last_seen: now, ..Direction::default() };
        mine.bytes = u64::from(self.selection.wire_len);
        self.make_hungry(&mut mine, knobs);
        let (half, _) = self.newborn.split(self.from);
        *half = mine;
    }

    /// Completes `selection`.
    #[inline(always)]
    fn choose(&mut self, class: Class, from_client: bool, whole: bool, point: u8, flags: u16) {
        let client = if from_client { flag::FROM_CLIENT } else { 0 };
        let high = if self.from == 1 { flag::FROM_HIGH } else { 0 };
        let only = if whole { 0 } else { flag::HEADERS_ONLY };
        let end = if whole { self.segment.at + self.segment.len } else { self.segment.at };
        let wire_len = self.selection.wire_len;
        self.selection.capture = if end > wire_len { wire_len } else { end };
        self.selection.flags = flags | client | high | only;
        self.selection.class = class as u8;
        self.selection.point = point;
    }
}

/// Whether a direction wants nothing more than a hello at the start of a segment.
#[inline(always)]
fn is_quiet(direction: &Direction) -> bool {
    direction.phase == phase::IDLE || direction.phase == phase::CLOSING
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
