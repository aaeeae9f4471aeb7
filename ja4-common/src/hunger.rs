//! Which payload segments of a TCP direction carry a handshake.
//!
//! A direction whose SYN was seen is *born hungry*: its first bytes are wanted whatever they are,
//! in any order, until the first in-order bytes say what the stream is.
//!
//! - **TLS**: the walk goes from record header to record header (RFC 8446, section 5.1) and wants
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
//! A PROXY protocol header before the stream's first bytes is skipped. In any other framing the walk goes from frame
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

use crate::Bytes;
use crate::begin::{Begin, HANDSHAKE, MAX_RECORD, RECORD_HEADER, SHORTEST};
use crate::flow::{Direction, protocol, seen};
use crate::framing::{self, FRAME_START, FRAMING, skip_proxy_header};
use crate::knobs::Knobs;
use crate::look::{
    HALF_A_HEADER, HTTP1, HTTP2, LETTER_S, LETTERS_SS, NOTHING, PROXY, SSH, TEXT_SSH, TOO_FEW, begins_past_handshake,
    ends_block, interlude, is_letter_s,
};
pub use crate::look::{Segment, begins};

/// What [`Direction::mark`] means.
pub mod phase {
    /// Nothing is wanted but a segment that begins something.
    pub const IDLE: u8 = 0;
    /// `mark` is the first payload byte, which has not been seen yet.
    pub const FRESH: u8 = 1;
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
const FAR: i32 = 1 << 20;

/// What such a segment takes from the budget, bytes: a stream that has gone on without being seen comes to
/// an end, and some forged segments do no harm.
const FAR_COST: u32 = 64;

/// Bytes of a direction in which TLS may follow a dialogue (STARTTLS and the like): it takes less than 1 KiB.
const DIALOGUE_BUDGET: u32 = 4 << 10;

/// Longest segment of such a dialogue: a list of capabilities fits, bulk does not.
const LONGEST_LINE: u32 = 1 << 10;

/// Whether a segment is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Want {
    /// No.
    No,
    /// It would be, but the budget is spent; later ones are not wanted.
    Spent,
    /// Yes: it goes on with what is wanted, or fills a gap in it.
    Yes,
    /// Yes: it begins something, and what lies before it was not wanted.
    Anew,
}

// What is to be done with a segment, as numbers: for the verifier, a global BPF function may return any number.
/// Nothing: it is not wanted.
const SKIP: u8 = 0;
/// It lies too far away to be wanted, and costs budget.
const WASTE: u8 = 1;
/// It is wanted as long as the budget lasts.
const SPEND: u8 = 2;
/// `mark` lies in it: follow the record headers from there.
const WALK: u8 = 3;
/// It is HTTP or SSH.
const READ: u8 = 4;
/// Beside them: the segment begins something, and what lies before it was not wanted.
const ANEW: u8 = 1 << 7;

/// Whether the direction has had its handshake and this segment begins nothing: the case of nearly
/// every packet, which spares it `wants`.
#[inline(always)]
pub fn is_sated<B: Bytes>(frame: &B, direction: &Direction, segment: &Segment) -> bool {
    let ahead = segment.seq.wrapping_sub(direction.mark);
    let sated = direction.phase == phase::IDLE || (direction.phase == phase::CLOSING && ahead <= FAR as u32);
    sated && begins(frame, segment) == Begin::Nothing
}

/// Whether a direction's next segment may be lines of text before the banner of SSH.
#[inline(always)]
pub(crate) fn may_be_text(direction: &Direction) -> bool {
    matches!(direction.phase, phase::FRESH | phase::NEXT) && direction.protocol != protocol::HTTP
}

/// Decides whether this segment is selected, and updates the direction's state. Returns a [`Want`] as its number.
#[inline(always)]
pub(crate) fn wants<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment, knobs: &Knobs) -> u8 {
    let decided = frame.decide(direction, segment, knobs);
    let want = match decided & !ANEW {
        WASTE if spend(direction, FAR_COST) == Want::Spent => Want::Spent as u8,
        SPEND => spend(direction, segment.len) as u8,
        WALK => frame.walk(direction, segment),
        READ => read(frame, direction, segment) as u8,
        _ => Want::No as u8,
    };
    if decided & ANEW != 0 && want == Want::Yes as u8 { Want::Anew as u8 } else { want }
}

/// What is to be done with a segment, as `wants` reads it.
#[inline(always)]
pub fn decide<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment, knobs: &Knobs) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let covers_mark = ahead <= 0 && ahead.wrapping_add(segment.len as i32) > 0;
    let is_near = ahead.unsigned_abs() <= FAR as u32;
    let is_http = direction.protocol == protocol::HTTP;
    match direction.phase {
        phase::FRESH | phase::NEXT if covers_mark => {
            if direction.phase == phase::FRESH {
                skip_proxy_header(frame, direction, segment);
            }
            first_bytes(frame, direction, segment, knobs)
        }
        // A hello without frame header may follow the frames of a framing.
        phase::RECORDS if covers_mark && (ahead < 0 || direction.framing == framing::kind::NONE) => WALK,
        phase::RECORDS if is_near && ahead > 0 => out_of_order(frame, direction, segment),
        phase::NEXT if is_near && ahead < 0 && !is_http => SKIP,
        phase::RECORDS | phase::CLOSING | phase::NEXT if is_near && ahead < 0 => SPEND,
        phase::TEXT if is_near && !is_http => READ,
        _ => match frame.look(segment, 0, false) {
            NOTHING => other_segment(frame, direction, segment, knobs),
            found => opening_segment(direction, segment, found, knobs),
        },
    }
}

/// What is to be done with a segment that begins nothing, and is not where one was awaited.
#[inline(always)]
fn other_segment<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment, knobs: &Knobs) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let is_near = ahead.unsigned_abs() <= FAR as u32;
    match direction.phase {
        phase::TEXT if is_near => READ,
        phase::RECORDS if ahead == 0 => WALK,
        // What an SSH server says has come in another order, or the rest of its first letters has come.
        phase::FRESH if is_near && ahead > 0 && direction.seen & seen::SSH_PORT != 0 => {
            open(direction, direction.mark, SSH, knobs)
        }
        phase::FRESH if ahead == 1 && direction.seen & seen::LETTER_S != 0 && is_letter_s(frame, segment.at) => {
            open(direction, direction.mark, SSH, knobs)
        }
        phase::FRESH if is_near && ahead > 0 => out_of_order(frame, direction, segment),
        // Part of a PROXY protocol header that spans segments.
        phase::FRESH if is_near && direction.mark != direction.isn.wrapping_add(1) => SPEND,
        phase::NEXT if is_near => SPEND,
        // Not near the number that the SYN gave, or anything that has come: bytes were missed, or one of
        // them was forged.
        phase::FRESH | phase::RECORDS | phase::TEXT if !is_near => WASTE,
        phase::NEXT | phase::CLOSING if ahead > FAR => {
            direction.phase = phase::IDLE;
            SKIP
        }
        _ => SKIP,
    }
}

/// What is to be done with a segment that begins something, and is not where that was awaited.
#[inline(always)]
fn opening_segment(direction: &mut Direction, segment: &Segment, found: u8, knobs: &Knobs) -> u8 {
    let ahead = segment.seq.wrapping_sub(direction.mark) as i32;
    let is_near = ahead.unsigned_abs() <= FAR as u32;
    match direction.phase {
        // A further request has a budget of its own; after CONNECT comes a hello.
        phase::TEXT if is_near => open(direction, segment.seq, found, knobs),
        // A later request came first. A byte or two before a hello are no request, but a server's answer to
        // SSLRequest (PostgreSQL).
        phase::FRESH if is_near && ahead >= SHORTEST as i32 => SPEND,
        // Within a request or a body; behind many missed bytes another request may come.
        phase::TEXT if found != HTTP1 => WASTE,
        // Nothing of another kind begins in these.
        _ if direction.protocol == protocol::SSH && found != SSH => SKIP,
        _ if direction.protocol == protocol::HTTP2 && found != HTTP2 => SKIP,
        _ => open(direction, segment.seq, found, knobs) | ANEW,
    }
}

/// What is to be done with the segment in which `mark` was, before it was moved behind a PROXY protocol header.
#[inline(always)]
fn first_bytes<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment, knobs: &Knobs) -> u8 {
    let direction = frame.settle(direction);
    let skip = direction.mark.wrapping_sub(segment.seq);
    if skip >= segment.len {
        return SPEND;
    }
    let mut found = frame.look(segment, skip, true);
    if found == PROXY || found >= FRAMING {
        if direction.phase == phase::FRESH && direction.seen & seen::SSH_PORT == 0 {
            // The header continues in the next segment.
            if found == PROXY {
                return SPEND;
            }
            open(direction, direction.mark, found, knobs);
            direction.framing = found & !FRAMING;
            return WALK;
        }
        found = NOTHING;
    }
    first_segment(direction, segment, found, knobs)
}

/// What is to be done with the segment in which `mark` lies, where nothing is under way.
#[inline(always)]
fn first_segment(direction: &mut Direction, segment: &Segment, found: u8, knobs: &Knobs) -> u8 {
    let is_fresh = direction.phase == phase::FRESH;
    let is_http = direction.protocol == protocol::HTTP;
    let is_ssh_server = is_fresh && direction.seen & seen::SSH_PORT != 0;
    // A dialogue, which was not wanted, came before it.
    let anew = if is_fresh || is_http { 0 } else { ANEW };
    // What begins behind bytes of the dialogue that come again is left alone.
    if anew != 0 && segment.seq != direction.mark {
        return pass_over(direction, segment);
    }
    match found {
        // Lines before its banner (RFC 4253, section 4.2).
        NOTHING | HTTP1 | TOO_FEW | LETTER_S if is_ssh_server => open(direction, direction.mark, SSH, knobs),
        // No method begins so that is used in the clear.
        LETTERS_SS if is_fresh => open(direction, direction.mark, SSH, knobs),
        TOO_FEW | LETTER_S | LETTERS_SS if is_http => SPEND,
        TOO_FEW | LETTER_S if is_fresh => {
            if found == LETTER_S {
                direction.seen |= seen::LETTER_S;
            }
            await_more(direction, knobs);
            SPEND
        }
        HALF_A_HEADER if !is_http => {
            if anew != 0 {
                direction.protocol = protocol::UNKNOWN;
            }
            direction.phase = phase::FRESH;
            await_more(direction, knobs);
            SPEND | anew
        }
        // A body: requests may follow it within a segment.
        NOTHING | HALF_A_HEADER | TEXT_SSH if is_http => {
            direction.phase = phase::TEXT;
            READ
        }
        NOTHING | TOO_FEW | HALF_A_HEADER | LETTER_S | LETTERS_SS => pass_over(direction, segment),
        _ => open(direction, direction.mark, found, knobs) | anew,
    }
}

/// The first bytes are too few to tell. Once: a repetition brings no new budget.
#[inline(always)]
fn await_more(direction: &mut Direction, knobs: &Knobs) {
    if direction.protocol == protocol::UNKNOWN {
        direction.budget = knobs.handshake_budget;
        direction.protocol = protocol::TLS;
    }
}

/// A segment in order that is not wanted: of a dialogue that TLS may follow, while it is short.
#[inline(always)]
fn pass_over(direction: &mut Direction, segment: &Segment) -> u8 {
    if direction.phase == phase::FRESH && direction.budget > DIALOGUE_BUDGET {
        direction.budget = DIALOGUE_BUDGET;
    }
    direction.budget = direction.budget.saturating_sub(segment.len);
    let goes_on = direction.budget > 0 && segment.len <= LONGEST_LINE;
    direction.phase = if goes_on { phase::NEXT } else { phase::IDLE };
    direction.mark = segment.seq.wrapping_add(segment.len);
    SKIP
}

/// Takes a segment ahead of `mark`: it came early, or the header that `mark` points at was split over two.
#[inline(always)]
fn out_of_order<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) -> u8 {
    if begins_past_handshake(frame, segment) {
        (direction.phase, direction.mark) = (phase::CLOSING, segment.seq);
        return SKIP;
    }
    SPEND
}

/// The direction has begun something at `mark`.
#[inline(always)]
fn open(direction: &mut Direction, mark: u32, found: u8, knobs: &Knobs) -> u8 {
    let (protocol, budget) = match found {
        HTTP1 => (protocol::HTTP, knobs.http_budget),
        HTTP2 => (protocol::HTTP2, knobs.http2_budget),
        SSH | TEXT_SSH => (protocol::SSH, knobs.ssh_budget),
        _ => (protocol::TLS, knobs.handshake_budget),
    };
    (direction.mark, direction.protocol, direction.budget) = (mark, protocol, budget);
    direction.framing = framing::kind::NONE;
    if protocol != protocol::TLS {
        direction.phase = phase::TEXT;
        return READ;
    }
    direction.seen |= seen::TLS;
    direction.phase = phase::RECORDS;
    WALK
}

/// Takes a segment of HTTP or SSH.
#[inline(always)]
fn read<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) -> Want {
    let want = spend(direction, segment.len);
    let end = segment.seq.wrapping_add(segment.len);
    if end.wrapping_sub(direction.mark) as i32 <= 0 {
        // Late: what ends with it is told by what came before.
        return want;
    }
    direction.mark = end;
    if want == Want::Yes && direction.protocol == protocol::HTTP && ends_block(frame, segment) {
        direction.phase = phase::NEXT;
    }
    want
}

/// Takes a segment's payload from the budget; with the last of it, hunger ends.
#[inline(always)]
fn spend(direction: &mut Direction, len: u32) -> Want {
    if direction.budget == 0 {
        direction.phase = phase::IDLE;
        return Want::Spent;
    }
    direction.budget = direction.budget.saturating_sub(len);
    Want::Yes
}

/// Follows frame headers from `mark`, which is in this segment. Returns a [`Want`] as its number.
#[inline(always)]
fn walk_frames<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) -> u8 {
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        let before = direction.mark;
        next_frame(frame, direction, segment);
        if direction.mark == before {
            break;
        }
    }
    if direction.phase == phase::CLOSING && direction.mark == segment.seq {
        return Want::No as u8;
    }
    spend(direction, segment.len) as u8
}

/// Moves `mark` behind the frame that begins there. `mark` stays where it is if the segment does not hold the start of
/// that frame, or if the handshake is over before it.
// In the kernel a separate function: its many paths end where it returns.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn next_frame<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) {
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
pub fn walk<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) -> u8 {
    if direction.framing != framing::kind::NONE {
        return walk_frames(frame, direction, segment);
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
            record = interlude(frame, segment, content, done);
            if record == 0 {
                direction.phase = phase::CLOSING;
                if done == 0 {
                    return Want::No as u8;
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
    spend(direction, segment.len) as u8
}
