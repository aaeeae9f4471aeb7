//! Selects the payload segments of a TCP direction that carry a handshake.
//!
//! After its SYN, a direction is *undecided*: its segments are selected in any order, until the first in-order bytes
//! identify the protocol.
//!
//! - **TLS**: the filter follows the record headers (RFC 8446, section 5.1). It selects every segment up to the first
//!   record that does not belong to the handshake: ChangeCipherSpec, application data or an alert. A hello that spans
//!   segments, a message that spans records, and a flight of several messages need no other rule.
//! - **HTTP/1**: the filter selects from the first segment of a request to a segment that ends a header block. The next
//!   request may follow there. A body is selected within the budget. A segment that starts with a method starts a
//!   request anywhere in the stream.
//! - **Dialogues** before TLS (STARTTLS): short segments are not selected. Segments out of order are selected, because
//!   they may belong to a ClientHello.
//! - **HTTP/2**: the filter selects the first bytes of the client, from the connection preface.
//! - **SSH**: the filter selects the identification string and KEXINIT. Lines of text may precede the identification
//!   string, in the same segment or in earlier ones.
//!
//! A PROXY protocol header before the first bytes is skipped. In any other framing, the filter follows the frame headers
//! ([`crate::framing`]).
//!
//! A byte budget bounds each protocol. A segment far from `mark` is forged, or follows a gap in the capture. It is not
//! selected, and costs a small part of the budget; it never ends the selection by itself.
//!
//! | phase | next phase | event |
//! |---|---|---|
//! | UNDECIDED | RECORDS, TEXT | the first in-order bytes are TLS; HTTP or SSH |
//! | UNDECIDED | NEXT | they are another protocol |
//! | NEXT | RECORDS, TEXT | the next in-order bytes start a hello; a request, or belong to a body |
//! | NEXT | IDLE | data other than HTTP is long, or comes in long segments |
//! | TEXT | NEXT | an HTTP header block ends |
//! | RECORDS | CLOSING | a record does not belong to the handshake |
//! | CLOSING, NEXT | IDLE | a segment is far ahead |
//! | any | IDLE | the budget is used up |
//! | any | RECORDS, TEXT | a segment starts with a hello; a request or identification string: resync |

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

/// Phases of a direction. Each gives [`DirectionState::mark`] a meaning.
pub mod phase {
    /// Only a segment that matches a signature is selected.
    pub const IDLE: u8 = 0;
    /// `mark` is the first payload byte, which was not captured yet.
    pub const UNDECIDED: u8 = 1;
    /// `mark` is the next TLS record header.
    pub const RECORDS: u8 = 2;
    /// `mark` is the end of the handshake. Late segments before it are selected.
    pub const CLOSING: u8 = 3;
    /// HTTP or SSH: every segment is selected. `mark` is the greatest sequence number captured.
    pub const TEXT: u8 = 4;
    /// Between two HTTP requests, or in a dialogue of another protocol. `mark` is the end of the in-order bytes: the next
    /// request or hello may start there.
    pub const NEXT: u8 = 5;
}

/// Record headers followed in one segment. A flight has four to six. Beyond that, the budget bounds the selection.
const MAX_RECORDS_PER_SEGMENT: usize = 8;

/// Greatest distance from `mark`, in bytes, of a segment that belongs to the same handshake.
const MAX_DISTANCE: i32 = 1 << 20;

/// Budget, in bytes, that a segment beyond [`MAX_DISTANCE`] costs. So the selection ends in a stream with a gap, and
/// a few forged segments do not end it.
const FAR_COST: u32 = 64;

/// Budget of a dialogue before TLS (STARTTLS), in bytes. Such a dialogue takes less than 1 KiB.
const DIALOGUE_BUDGET: u32 = 4 << 10;

/// Longest segment of such a dialogue, in bytes: a list of capabilities fits, bulk data does not.
const MAX_DIALOGUE_SEGMENT: u32 = 1 << 10;

/// Whether a segment is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentInterest {
    /// Not selected.
    NotSelected,
    /// Not selected, because the budget is used up. Later segments are not selected either.
    OverBudget,
    /// Selected: it continues the selected bytes, or fills a gap in them.
    Selected,
    /// Selected: a protocol starts, and the bytes before it were not selected.
    Resync,
}

// Results of `decide`. They are numbers, because the verifier takes the result of a global BPF function for any number.
/// Do not select the segment.
const SKIP: u8 = 0;
/// Do not select the segment, and charge [`FAR_COST`].
const PENALIZE: u8 = 1;
/// Select the segment within the budget.
const SELECT: u8 = 2;
/// Follow the record headers from `mark`, which is in the segment.
const FOLLOW_RECORDS: u8 = 3;
/// Select a segment of HTTP or SSH.
const SELECT_TEXT: u8 = 4;
/// Flag: a protocol starts, and the bytes before it were not selected.
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

/// Whether the handshake of a direction is over and the segment matches no signature. That holds for nearly every
/// packet, which then skips `select_segment`.
#[inline(always)]
pub fn is_done<B: SignatureStage>(frame: &B, direction: &DirectionState, segment: &SegmentPayload) -> bool {
    let ahead = segment.seq.wrapping_sub(direction.mark);
    let is_over = direction.phase == phase::IDLE || (direction.phase == phase::CLOSING && ahead <= MAX_DISTANCE as u32);
    is_over && stream_start(frame, segment) == StreamStart::None
}

/// Whether the next segment of a direction may be lines of text before an SSH identification string.
#[inline(always)]
pub(crate) fn may_be_text(direction: &DirectionState) -> bool {
    matches!(direction.phase, phase::UNDECIDED | phase::NEXT) && direction.protocol != protocol::HTTP
}

/// Decides whether a segment is selected, and updates the state of its direction. Returns the number of a
/// [`SegmentInterest`].
#[inline(always)]
pub(crate) fn select_segment<B: StreamStages>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let decided = frame.decide(direction, segment, config);
    let interest = match decided & !RESYNC {
        PENALIZE if charge(direction, FAR_COST) == SegmentInterest::OverBudget => SegmentInterest::OverBudget as u8,
        SELECT => charge(direction, segment.len) as u8,
        FOLLOW_RECORDS => frame.follow_records(direction, segment),
        SELECT_TEXT => select_text(frame, direction, segment) as u8,
        _ => SegmentInterest::NotSelected as u8,
    };
    if decided & RESYNC != 0 && interest == SegmentInterest::Selected as u8 {
        SegmentInterest::Resync as u8
    } else {
        interest
    }
}

/// The first step of `select_segment`: the action for a segment.
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
        // A hello without a frame header may follow the frames of a framing.
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

/// The action for a segment that matches no signature and does not cover `mark`.
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
        // Data of an SSH server arrived out of order, or after its first letter.
        phase::UNDECIDED if is_near && ahead > 0 && direction.seen & seen::SSH_PORT != 0 => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        phase::UNDECIDED if ahead == 1 && direction.seen & seen::PREFIX_S != 0 && is_byte_s(frame, segment.at) => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        phase::UNDECIDED if is_near && ahead > 0 => out_of_order(frame, direction, segment),
        // A PROXY protocol header spans segments.
        phase::UNDECIDED if is_near && direction.mark != direction.isn.wrapping_add(1) => SELECT,
        phase::NEXT if is_near => SELECT,
        // Far from the sequence numbers captured so far: bytes were not captured, or a segment is forged.
        phase::UNDECIDED | phase::RECORDS | phase::TEXT if !is_near => PENALIZE,
        phase::NEXT | phase::CLOSING if ahead > MAX_DISTANCE => {
            direction.phase = phase::IDLE;
            SKIP
        }
        _ => SKIP,
    }
}

/// The action for a segment that matches a signature and does not cover `mark`.
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
        // Each request has its own budget. A ClientHello follows a CONNECT request.
        phase::TEXT if is_near => start_protocol(direction, segment.seq, protocol, config),
        // The second request arrived before the first. Fewer bytes before a hello are the reply of a PostgreSQL server to
        // SSLRequest.
        phase::UNDECIDED if is_near && ahead >= SHORTEST as i32 => SELECT,
        // Inside a request or a body. After many bytes that were not captured, another request may start.
        phase::TEXT if protocol != protocol::HTTP => PENALIZE,
        // No other protocol starts inside these.
        _ if is_exclusive(direction.protocol) && protocol != direction.protocol => SKIP,
        _ => start_protocol(direction, segment.seq, protocol, config) | RESYNC,
    }
}

/// The action for the segment that covers `mark`, before or after `mark` was moved past a PROXY protocol header.
#[inline(always)]
fn first_bytes<B: ClassifyStage>(
    frame: &B,
    direction: &mut DirectionState,
    segment: &SegmentPayload,
    config: &FilterConfig,
) -> u8 {
    let direction = frame.reload(direction);
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

/// The action for the segment that covers `mark` if no protocol has started.
#[inline(always)]
fn first_segment(direction: &mut DirectionState, segment: &SegmentPayload, found: u8, config: &FilterConfig) -> u8 {
    let is_undecided = direction.phase == phase::UNDECIDED;
    let is_http = direction.protocol == protocol::HTTP;
    let is_ssh_server = is_undecided && direction.seen & seen::SSH_PORT != 0;
    // The bytes before it belong to a dialogue and were not selected.
    let resync = if is_undecided || is_http { 0 } else { RESYNC };
    // A segment that repeats bytes of the dialogue starts no protocol.
    if resync != 0 && segment.seq != direction.mark {
        return skip_dialogue(direction, segment);
    }
    match found {
        // Lines before the identification string (RFC 4253, section 4.2).
        prefix::NONE | prefix::HTTP1 | prefix::TOO_SHORT | prefix::S if is_ssh_server => {
            start_protocol(direction, direction.mark, protocol::SSH, config)
        }
        // No method of plaintext HTTP starts with these letters.
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
            if resync != 0 {
                direction.protocol = protocol::UNKNOWN;
            }
            direction.phase = phase::UNDECIDED;
            await_prefix(direction, config);
            SELECT | resync
        }
        // A body. Requests may follow it in the same segment.
        prefix::NONE | prefix::PARTIAL_RECORD | prefix::TEXT_SSH if is_http => {
            direction.phase = phase::TEXT;
            SELECT_TEXT
        }
        prefix::NONE | prefix::TOO_SHORT | prefix::PARTIAL_RECORD | prefix::S | prefix::SS => {
            skip_dialogue(direction, segment)
        }
        _ => start_protocol(direction, direction.mark, prefix::protocol(found), config) | resync,
    }
}

/// Waits for more bytes of a prefix. A retransmission does not renew the budget.
#[inline(always)]
fn await_prefix(direction: &mut DirectionState, config: &FilterConfig) {
    if direction.protocol == protocol::UNKNOWN {
        direction.budget = config.handshake_budget;
        direction.protocol = protocol::TLS;
    }
}

/// Skips an in-order segment of a dialogue. The direction stays in the dialogue while its segments are short.
#[inline(always)]
fn skip_dialogue(direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if direction.phase == phase::UNDECIDED && direction.budget > DIALOGUE_BUDGET {
        direction.budget = DIALOGUE_BUDGET;
    }
    direction.budget = direction.budget.saturating_sub(segment.len);
    let continues = direction.budget > 0 && segment.len <= MAX_DIALOGUE_SEGMENT;
    direction.phase = if continues { phase::NEXT } else { phase::IDLE };
    direction.mark = segment.seq.wrapping_add(segment.len);
    SKIP
}

/// The action for a segment after `mark`: it arrived early, or a segment boundary splits the header at `mark`.
#[inline(always)]
fn out_of_order<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if starts_past_handshake(frame, segment) {
        (direction.phase, direction.mark) = (phase::CLOSING, segment.seq);
        return SKIP;
    }
    SELECT
}

/// Starts a protocol at `mark`.
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

/// Selects a segment of HTTP or SSH within the budget.
#[inline(always)]
fn select_text<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> SegmentInterest {
    let interest = charge(direction, segment.len);
    let end = segment.seq.wrapping_add(segment.len);
    if end.wrapping_sub(direction.mark) as i32 <= 0 {
        // A late segment does not move `mark`.
        return interest;
    }
    direction.mark = end;
    if interest == SegmentInterest::Selected
        && direction.protocol == protocol::HTTP
        && ends_header_block(frame, segment)
    {
        direction.phase = phase::NEXT;
    }
    interest
}

/// Subtracts a payload from the budget. Selection ends once the budget is used up.
#[inline(always)]
fn charge(direction: &mut DirectionState, len: u32) -> SegmentInterest {
    if direction.budget == 0 {
        direction.phase = phase::IDLE;
        return SegmentInterest::OverBudget;
    }
    direction.budget = direction.budget.saturating_sub(len);
    SegmentInterest::Selected
}

/// Follows frame headers from `mark`, which is in the segment. Returns the number of a [`SegmentInterest`].
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

/// Moves `mark` past the frame that starts there. Leaves `mark` if the segment does not hold the start of the frame, or
/// if the handshake ends before it.
// A separate function in the kernel: its many paths join where it returns.
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
    direction.framing = framing::framing_after(direction.framing, first);
    direction.mark = direction.mark.wrapping_add(length);
}

/// Follows record headers from `mark`, which is in the segment. Returns the number of a [`SegmentInterest`].
#[inline(always)]
pub fn follow_records<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) -> u8 {
    if direction.framing != framing::kind::NONE {
        return follow_frames(frame, direction, segment);
    }
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        // From 0 to len - 1 in the first iteration.
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
