//! A segment read as lines of text, as they may come before an SSH identification string: a PROXY protocol header, or a
//! notice.

use crate::Bytes;
use crate::look::Segment;

/// Bytes read: a PROXY protocol header of version 1 has 107 at most.
const MAX_TEXT: u32 = 128;

/// The same in words of eight bytes, and one more of zeros.
pub const WORDS: usize = MAX_TEXT as usize / 8 + 1;

/// Not read, or no text that matters.
pub const NONE: u8 = 0;
/// An SSH identification string begins behind one of the lines.
pub const SSH: u8 = 1;
/// Whole lines that are no part of an HTTP request.
pub const LINES: u8 = 2;

/// Reads a segment; `words` is room for its bytes.
// Without branches in its loop: the verifier then has few paths to follow.
#[inline(always)]
pub fn read<B: Bytes>(frame: &B, segment: &mut Segment, words: &mut [u64; WORDS]) {
    const WORD: u64 = u64::from_be_bytes(*b"\0\0\0\nSSH-");
    const FIVE: u64 = 0xff_ffff_ffff;
    *words = [0; WORDS];
    let read = if segment.len > MAX_TEXT { MAX_TEXT } else { segment.len };
    if !frame.copy(segment.at, read, words) {
        return;
    }
    let words = frame.settle(words);
    let [first, ..] = *words;
    if !matches!(first.to_be_bytes(), [b'\r' | b'\n' | b' '..=b'~', ..]) {
        return;
    }
    let mut differs = 1;
    for two in words.windows(2) {
        if let &[first, behind] = two {
            let first = u64::from_be(first);
            // The bytes 4 to 11.
            let second = first << 32 | u64::from_be(behind) >> 32;
            for shift in [24, 16, 8, 0] {
                differs &= is_not_zero(first >> shift & FIVE ^ WORD) & is_not_zero(second >> shift & FIVE ^ WORD);
            }
        }
    }
    if differs == 0 {
        segment.text = SSH;
    } else if are_lines(frame, segment) {
        segment.text = LINES;
    }
}

/// 1 for any number but 0, without a branch.
#[inline(always)]
const fn is_not_zero(number: u64) -> u64 {
    (number | number.wrapping_neg()) >> 63
}

/// Whether a segment of text ends with a line, but with neither an empty line nor a request line (RFC 9112, sections 2
/// and 3).
#[inline(always)]
fn are_lines<B: Bytes>(frame: &B, segment: &Segment) -> bool {
    const VERSION: u64 = u64::from_be_bytes(*b"\0HTTP/1.");
    const SEVEN: u64 = 0xff_ffff_ffff_ffff;
    if !(4..=MAX_TEXT).contains(&segment.len) {
        return false;
    }
    let end = (segment.at + segment.len) as usize;
    match frame.load_far::<4>(end - 4) {
        Some([_, b'\n', b'\r', b'\n'] | [_, _, b'\n', b'\n']) => return false,
        Some([_, _, _, b'\n']) => {}
        _ => return false,
    }
    if segment.len < 10 {
        return true;
    }
    // With `\r\n` behind the version's last digit, or `\n` alone.
    match frame.load_far::<8>(end - 10) {
        Some(last) => {
            let last = u64::from_be_bytes(last);
            last >> 8 != VERSION && last & SEVEN != VERSION
        }
        None => false,
    }
}
