//! Which payload segments of a TCP direction carry a handshake.
//!
//! A direction whose SYN was seen is *born hungry*: its first bytes are wanted whatever they are,
//! in any order, until the first in-order bytes say what the stream is.
//!
//! - **TLS**: the follow_records goes from record header to record header (RFC 8446, section 5.1) and select_segment
//!   every segment up to the first record that is not a handshake: ChangeCipherSpec, application
//!   data, an alert. A hello that spans segments, a message that spans records and a flight of
//!   several messages, certificates among them, need no rule of their own.
//! - **HTTP/1**: from a request's first segment to one that ends as a header block does. Behind it
//!   the next request is looked for as at the stream's begin; a body is read too, as far as the budget
//!   lasts. A segment that begins with a method opens a request anywhere.
//! - **Dialogues** that TLS may follow (STARTTLS): their short segments are not wanted, but while they last
//!   what comes out of order is, for it may be of a hello.
//! - **HTTP/2**: the client's first bytes from the preface on.
//! - **SSH**: the identification string and what follows it, KEXINIT. Lines of text may come before it, in the same
//!   segment or in others.
//!
//! A PROXY protocol header before the stream's first bytes is skipped. In any other framing the follow_records goes from frame
//! header to frame header ([`crate::framing`]).
//!
//! A byte budget bounds each of them. A segment far from where the stream is, forged or after a hole,
//! is not wanted but takes a little from the budget all the same; it never ends the hunger by itself.
//!
//! | phase | becomes | when |
//! |---|---|---|
//! | FRESH | RECORDS, TEXT | the first bytes in order are of TLS, of HTTP or SSH |
//! | FRESH | NEXT | they are of another protocol |
//! | NEXT | RECORDS, TEXT | the next bytes in order begin a hello, a request; or they are of a body |
//! | NEXT | IDLE | what is no HTTP is long or comes in long segments |
//! | TEXT | NEXT | a header block of HTTP ends |
//! | RECORDS | CLOSING | a record is no handshake |
//! | CLOSING, NEXT | IDLE | a segment lies far ahead |
//! | any | IDLE | the budget is spent |
//! | any | RECORDS, TEXT | a segment begins with a hello, a request, a banner: anew |

use crate::bytes::{FrameBytes, SliceFrame};
use crate::classify::{ClassifyStage, is_byte_s};
use crate::filter_config::FilterConfig;
use crate::flow::{DirectionState, seen};
use crate::framing::{self, FRAME_START, FRAMING, skip_proxy_header};
use crate::segment::{SegmentPayload, ends_header_block, interleaved_record_len, starts_past_handshake, stream_start};
use crate::signature::{
    HANDSHAKE, MAX_RECORD, RECORD_HEADER, SHORTEST, SignatureStage, StreamStart, budget_of, is_exclusive, prefix,
    protocol,
};

/// What [`DirectionState::mark`] means.
pub mod phase {
    /// Nothing is wanted but a segment that begins something.
    pub const IDLE: u8 = 0;
    /// `mark` is the first payload byte, which has not been seen yet.
    pub const UNDECIDED: u8 = 1;
    /// `mark` is the next TLS record header.
    pub const RECORDS: u8 = 2;
    /// `mark` is the end of the handshake; late segments before it are still wanted.
    pub const CLOSING: u8 = 3;
    /// HTTP or SSH: every segment is wanted. `mark` is the end of what has come.
    pub const TEXT: u8 = 4;
    /// Between two requests of HTTP, or in a dialogue of another protocol. `mark` is the end of what has
    /// come in order: the next request or hello may begin there.
    pub const NEXT: u8 = 5;
}

/// Record headers followed in one segment. A flight has four to six; a sender of many tiny records
/// is followed by budget instead.
const MAX_RECORDS_PER_SEGMENT: usize = 8;

/// A segment this far from `mark` is not of the handshake at hand.
const MAX_DISTANCE: i32 = 1 << 20;

/// What such a segment takes from the budget, bytes: a stream that has gone on without being seen comes to
/// an end, and some forged segments do no harm.
const FAR_COST: u32 = 64;

/// Bytes of a direction in which TLS may follow a dialogue (STARTTLS and the like): it takes less than 1 KiB.
const DIALOGUE_BUDGET: u32 = 4 << 10;

/// Longest segment of such a dialogue: a list of capabilities fits, bulk does not.
const MAX_DIALOGUE_SEGMENT: u32 = 1 << 10;

/// Whether a segment is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentInterest {
    /// No.
    NotSelected,
    /// It would be, but the budget is spent; later ones are not wanted.
    OverBudget,
    /// Yes: it goes on with what is wanted, or fills a gap in it.
    Selected,
    /// Yes: it begins something, and what lies before it was not wanted.
    Resync,
}

// What is to be done with a segment, as numbers: for the verifier, a global BPF function may return any number.
/// Nothing: it is not wanted.
const SKIP: u8 = 0;
/// It lies too far away to be wanted, and costs budget.
const PENALIZE: u8 = 1;
/// It is wanted as long as the budget lasts.
const SELECT: u8 = 2;
/// `mark` lies in it: follow the record headers from there.
const FOLLOW_RECORDS: u8 = 3;
/// It is HTTP or SSH.
const SELECT_TEXT: u8 = 4;
/// Beside them: the segment begins something, and what lies before it was not wanted.
const RESYNC: u8 = 1 << 7;

/// The steps of selection that the kernel programs call as global functions.
pub trait StreamStages: ClassifyStage + SignatureStage {
    /// Calls [`decide`].
    #[inline(always)]
    fn decide(&self, direction: &mut DirectionState, segment: &SegmentPayload, config: &FilterConfig) -> u8 {
        decide(self, direction, segment, config)
    }

    /// Calls [`follow_records`].
    #[inline(always)]
    fn follow_records(&self, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
        follow_records(self, direction, segment)
    }
}

impl StreamStages for SliceFrame<'_> {}

/// Whether the direction has had its handshake and this segment begins nothing: the case of nearly
/// every packet, which spares it `select_segment`.
#[inline(always)]
pub fn is_done<B: SignatureStage>(frame: &B, direction: &DirectionState, segment: &SegmentPayload) -> bool {
    let ahead = segment.seq.wrapping_sub(direction.mark);
    let sated = direction.phase == phase::IDLE || (direction.phase == phase::CLOSING && ahead <= MAX_DISTANCE as u32);
    sated && stream_start(frame, segment) == StreamStart::None
}

/// Whether a direction's next segment may be lines of text before the banner of SSH.
#[inline(always)]
pub(crate) fn may_be_text(direction: &DirectionState) -> bool {
    matches!(direction.phase, phase::UNDECIDED | phase::NEXT) && direction.protocol != protocol::HTTP
}

/// Decides whether this segment is selected, and updates the direction's state. Returns a [`Want`] as its number.
#[inline(always)]
pub(crate) fn select_segment<B: StreamStages>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let decided = frame.decide(direction, segment, config);
    let want = match decided & !RESYNC {
        PENALIZE if charge(direction, FAR_COST) == SegmentInterest::OverBudget => SegmentInterest::OverBudget as u8,
        SELECT => charge(direction, segment.len) as u8,
        FOLLOW_RECORDS => frame.follow_records(direction, segment),
        SELECT_TEXT => select_text(frame, direction, segment) as u8,
        _ => SegmentInterest::NotSelected as u8,
    };
    if decided & RESYNC != 0 && want == SegmentInterest::Selected as u8 { SegmentInterest::Resync as u8 } else { want }
}

/// What is to be done with a segment, as `select_segment` reads it.
#[inline(always)]
pub fn decide<B: ClassifyStage>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let covers_mark = ahead <= 0 && ahead.wrapping_add(segment.len as i32) > 0;
    let is_near = ahead.unsigned_abs() <= MAX_DISTANCE as u32;
    let is_http = direction.protocol == protocol::HTTP;
    match direction.phase {
        phase::UNDECIDED | phase::NEXT if covers_mark => {
            if direction.phase == phase::UNDECIDED {
                skip_proxy_header(frame, direction, segment);
            }
            first_bytes(frame, direction, segment, config)
        }
        // A hello without frame header may follow the frames of a framing.
        phase::RECORDS if covers_mark && (ahead < 0 || direction.framing == framing::kind::NONE) => FOLLOW_RECORDS,
        phase::RECORDS if is_near && ahead > 0 => out_of_order(frame, direction, segment),
        phase::NEXT if is_near && ahead < 0 && !is_http => SKIP,
        phase::RECORDS | phase::CLOSING | phase::NEXT if is_near && ahead < 0 => SELECT,
        phase::TEXT if is_near && !is_http => SELECT_TEXT,
        _ => match frame.classify(segment, 0, false) {
            prefix::NONE => continue_stream(frame, direction, segment, config),
            found => start_midstream(direction, segment, prefix::protocol(found), config),
        },
    }
}

/// What is to be done with a segment that begins nothing, and is not where one was awaited.
#[inline(always)]
fn continue_stream<B: ClassifyStage>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let is_near = ahead.unsigned_abs() <= MAX_DISTANCE as u32;
    match direction.phase {
        phase::TEXT if is_near => SELECT_TEXT,
        phase::RECORDS if ahead == 0 => FOLLOW_RECORDS,
        // What an SSH server says has come in another order, or the rest of its first letters has come.
        phase::UNDECIDED if is_near && ahead > 0 && direction.seen & seen::SSH_PORT != 0 => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        phase::UNDECIDED if ahead == 1 && direction.seen & seen::PREFIX_S != 0 && is_byte_s(frame, segment.at) => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        phase::UNDECIDED if is_near && ahead > 0 => out_of_order(frame, direction, segment),
        // Part of a PROXY protocol header that spans segments.
        phase::UNDECIDED if is_near && direction.mark != direction.isn.wrapping_add(1) => SELECT,
        phase::NEXT if is_near => SELECT,
        // Not near the number that the SYN gave, or anything that has come: bytes were missed, or one of
        // them was forged.
        phase::UNDECIDED | phase::RECORDS | phase::TEXT if !is_near => PENALIZE,
        phase::NEXT | phase::CLOSING if ahead > MAX_DISTANCE => {
            direction.phase = phase::IDLE;
            SKIP
        }
        _ => SKIP,
    }
}

/// What is to be done with a segment that begins something, and is not where that was awaited.
#[inline(always)]
fn start_midstream(
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    protocol: u8,
    config: &FilterConfig,
) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let is_near = ahead.unsigned_abs() <= MAX_DISTANCE as u32;
    match direction.phase {
        // A further request has a budget of its own; after CONNECT comes a hello.
        phase::TEXT if is_near => start_protocol(direction, segment.seq, protocol, config),
        // A later request came first. A byte or two before a hello are no request, but a server's answer to
        // SSLRequest (PostgreSQL).
        phase::UNDECIDED if is_near && ahead >= SHORTEST as i32 => SELECT,
        // Within a request or a body; behind many missed bytes another request may come.
        phase::TEXT if protocol != protocol::HTTP => PENALIZE,
        // No other protocol starts inside these.
        _ if is_exclusive(direction.protocol) && protocol != direction.protocol => SKIP,
        _ => start_protocol(direction, segment.seq, protocol, config) | RESYNC,
    }
}

/// What is to be done with the segment in which `mark` was, before it was moved behind a PROXY protocol header.
#[inline(always)]
fn first_bytes<B: ClassifyStage>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let direction = frame.settle(direction);
    let skip = direction.mark.wrapping_sub(segment.seq);
    if skip >= segment.len {
        return SELECT;
    }
    let mut found = frame.classify(segment, skip, true);
    if found == prefix::PROXY || found >= FRAMING {
        if direction.phase == phase::UNDECIDED && direction.seen & seen::SSH_PORT == 0 {
            // The header continues in the next segment.
            if found == prefix::PROXY {
                return SELECT;
            }
            start_protocol(direction, direction.mark, protocol::TLS, config);
            direction.framing = found & !FRAMING;
            return FOLLOW_RECORDS;
        }
        found = prefix::NONE;
    }
    first_segment(direction, segment, found, config)
}

/// What is to be done with the segment in which `mark` lies, where nothing is under way.
#[inline(always)]
fn first_segment(direction: &mut DirectionState, segment: &SegmentPayload, found: u8, config: &FilterConfig) -> u8 {
    let is_undecided = direction.phase == phase::UNDECIDED;
    let is_http = direction.protocol == protocol::HTTP;
    let is_ssh_server = is_undecided && direction.seen & seen::SSH_PORT != 0;
    // A dialogue, which was not wanted, came before it.
    let anew = if is_undecided || is_http { 0 } else { RESYNC };
    // What begins behind bytes of the dialogue that come again is left alone.
    if anew != 0 && segment.seq != direction.mark {
        return skip_dialogue(direction, segment);
    }
    match found {
        // Lines before its banner (RFC 4253, section 4.2).
        prefix::NONE | prefix::HTTP1 | prefix::TOO_SHORT | prefix::S if is_ssh_server => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        // No method begins so that is used in the clear.
        prefix::SS if is_undecided => start_protocol(direction, direction.mark, protocol::SSH, config),
        prefix::TOO_SHORT | prefix::S | prefix::SS if is_http => SELECT,
        prefix::TOO_SHORT | prefix::S if is_undecided => {
            if found == prefix::S {
                direction.seen |= seen::PREFIX_S;
            }
            await_prefix(direction, config);
            SELECT
        }
        prefix::PARTIAL_RECORD if !is_http => {
            if anew != 0 {
                direction.protocol = protocol::UNKNOWN;
            }
            direction.phase = phase::UNDECIDED;
            await_prefix(direction, config);
            SELECT | anew
        }
        // A body: requests may follow it within a segment.
        prefix::NONE | prefix::PARTIAL_RECORD | prefix::TEXT_SSH if is_http => {
            direction.phase = phase::TEXT;
            SELECT_TEXT
        }
        prefix::NONE | prefix::TOO_SHORT | prefix::PARTIAL_RECORD | prefix::S | prefix::SS => {
            skip_dialogue(direction, segment)
        }
        _ => start_protocol(direction, direction.mark, prefix::protocol(found), config) | anew,
    }
}

/// The first bytes are too few to tell. Once: a repetition brings no new budget.
#[inline(always)]
fn await_prefix(direction: &mut DirectionState, config: &FilterConfig) {
    if direction.protocol == protocol::UNKNOWN {
        direction.budget = config.handshake_budget;
        direction.protocol = protocol::TLS;
    }
}

/// A segment in order that is not wanted: of a dialogue that TLS may follow, while it is short.
#[inline(always)]
fn skip_dialogue(direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if direction.phase == phase::UNDECIDED && direction.budget > DIALOGUE_BUDGET {
        direction.budget = DIALOGUE_BUDGET;
    }
    direction.budget = direction.budget.saturating_sub(segment.len);
    let goes_on = direction.budget > 0 && segment.len <= MAX_DIALOGUE_SEGMENT;
    direction.phase = if goes_on { phase::NEXT } else { phase::IDLE };
    direction.mark = segment.seq.wrapping_add(segment.len);
    SKIP
}

/// Takes a segment ahead of `mark`: it came early, or the header that `mark` points at was split over two.
#[inline(always)]
fn out_of_order<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if starts_past_handshake(frame, segment) {
        (direction.phase, direction.mark) = (phase::CLOSING, segment.seq);
        return SKIP;
    }
    SELECT
}

/// The direction has begun something at `mark`.
#[inline(always)]
fn start_protocol(direction: &mut DirectionState, mark: u32, protocol: u8, config: &FilterConfig) -> u8 {
    (direction.mark, direction.protocol, direction.budget) = (mark, protocol, budget_of(protocol, config));
    direction.framing = framing::kind::NONE;
    if protocol != protocol::TLS {
        direction.phase = phase::TEXT;
        return SELECT_TEXT;
    }
    direction.seen |= seen::TLS;
    direction.phase = phase::RECORDS;
    FOLLOW_RECORDS
}

/// Takes a segment of HTTP or SSH.
#[inline(always)]
fn select_text<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> SegmentInterest {
    let want = charge(direction, segment.len);
    let end = segment.seq.wrapping_add(segment.len);
    if end.wrapping_sub(direction.mark) as i32 <= 0 {
        // Late: what ends with it is told by what came before.
        return want;
    }
    direction.mark = end;
    if want == SegmentInterest::Selected && direction.protocol == protocol::HTTP && ends_header_block(frame, segment) {
        direction.phase = phase::NEXT;
    }
    want
}

/// Takes a segment's payload from the budget; with the last of it, hunger ends.
#[inline(always)]
fn charge(direction: &mut DirectionState, len: u32) -> SegmentInterest {
    if direction.budget == 0 {
        direction.phase = phase::IDLE;
        return SegmentInterest::OverBudget;
    }
    direction.budget = direction.budget.saturating_sub(len);
    SegmentInterest::Selected
}

/// Follows frame headers from `mark`, which is in this segment. Returns a [`Want`] as its number.
#[inline(always)]
fn follow_frames<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        let before = direction.mark;
        next_frame(frame, direction, segment);
        if direction.mark == before {
            break;
        }
    }
    if direction.phase == phase::CLOSING && direction.mark == segment.seq {
        return SegmentInterest::NotSelected as u8;
    }
    charge(direction, segment.len) as u8
}

/// Moves `mark` behind the frame that begins there. `mark` stays where it is if the segment does not hold the start of
/// that frame, or if the handshake is over before it.
// In the kernel a separate function: its many paths end where it returns.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn next_frame<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) {
    let done = direction.mark.wrapping_sub(segment.seq);
    if done >= segment.len || segment.len - done < FRAME_START {
        return;
    }
    let at = (segment.at + done) as usize;
    let (Some(first), Some([ninth])) = (frame.load_far::<8>(at), frame.load_far::<1>(at + 8)) else {
        return;
    };
    let first = u64::from_be_bytes(first);
    let length = framing::frame_len(direction.framing, first, ninth);
    if length == 0 {
        direction.phase = phase::CLOSING;
        return;
    }
    direction.framing = framing::behind_frame(direction.framing, first);
    direction.mark = direction.mark.wrapping_add(length);
}

/// Follows record headers from `mark`, which is in this segment. Returns a [`Want`] as its number.
#[inline(always)]
pub fn follow_records<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if direction.framing != framing::kind::NONE {
        return follow_frames(frame, direction, segment);
    }
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        // Between 0 and len - 1 at first.
        let done = direction.mark.wrapping_sub(segment.seq);
        if done >= segment.len {
            break;
        }
        let Some([content]) = frame.load_far::<1>((segment.at + done) as usize) else {
            break;
        };
        let record;
        if content != HANDSHAKE {
            record = interleaved_record_len(frame, segment, content, done);
            if record == 0 {
                direction.phase = phase::CLOSING;
                if done == 0 {
                    return SegmentInterest::NotSelected as u8;
                }
                break;
            }
        } else {
            if segment.len - done < RECORD_HEADER {
                break;
            }
            let Some([_, major, _, hi, lo]) = frame.load_far::<5>((segment.at + done) as usize) else {
                break;
            };
            let body = u32::from(u16::from_be_bytes([hi, lo]));
            if major != 3 || body > MAX_RECORD {
                direction.phase = phase::CLOSING;
                break;
            }
            record = RECORD_HEADER + body;
        }
        direction.mark = direction.mark.wrapping_add(record);
    }
    charge(direction, segment.len) as u8
}
