//! Reads a segment as lines of text. A PROXY protocol header or a notice may precede an SSH identification string.

use crate::bytes::{FrameBytes, SliceFrame};
use crate::segment::SegmentPayload;

/// Bytes that are read. A PROXY protocol header of version 1 has at most 107.
const MAX_TEXT: u32 = 128;

/// `MAX_TEXT` in words of eight bytes, and one word of zeros.
pub const WORDS: usize = MAX_TEXT as usize / 8 + 1;

/// Not read, or neither [`SSH`] nor [`LINES`].
pub const NONE: u8 = 0;
/// An SSH identification string follows one of the lines.
pub const SSH: u8 = 1;
/// Complete lines without an HTTP version, which ends a request line.
pub const LINES: u8 = 2;

/// The step of reading text that the kernel programs call as a global function.
pub trait TextStage: FrameBytes + Sized {
    /// Calls [`read`].
    #[inline(always)]
    fn read_text(&self, segment: &mut SegmentPayload, words: &mut [u64; WORDS]) {
        read(self, segment, words);
    }
}

impl TextStage for SliceFrame<'_> {}

/// Reads a segment and sets [`SegmentPayload::text`]. `words` is a buffer for its bytes.
// The loop has no branches, so the verifier follows few paths.
#[inline(always)]
pub fn read<B: FrameBytes>(frame: &B, segment: &mut SegmentPayload, words: &mut [u64; WORDS]) {
    const BANNER: u64 = u64::from_be_bytes(*b"\0\0\0\nSSH-");
    const VERSION: u64 = u64::from_be_bytes(*b"\0\0\0HTTP/");
    const FIVE: u64 = 0xff_ffff_ffff;
    *words = [0; WORDS];
    let read = if segment.len > MAX_TEXT { MAX_TEXT } else { segment.len };
    if !frame.copy(segment.at, read, words) {
        return;
    }
    let words = frame.reload(words);
    let [first, ..] = *words;
    if !matches!(first.to_be_bytes(), [b'\r' | b'\n' | b' '..=b'~', ..]) {
        return;
    }
    // Five equal bytes give 0, and 0 - 1 sets the highest bit.
    let (mut banner, mut version) = (0_u64, 0_u64);
    for two in words.windows(2) {
        if let &[first, next] = two {
            let first = u64::from_be(first);
            // The bytes 4 to 11.
            let second = first << 32 | u64::from_be(next) >> 32;
            for shift in [24, 16, 8, 0] {
                let (first, second) = (first >> shift & FIVE, second >> shift & FIVE);
                banner |= (first ^ BANNER).wrapping_sub(1) | (second ^ BANNER).wrapping_sub(1);
                version |= (first ^ VERSION).wrapping_sub(1) | (second ^ VERSION).wrapping_sub(1);
            }
        }
    }
    if banner >> 63 != 0 {
        segment.text = SSH;
    } else if version >> 63 == 0 && are_lines(frame, segment) {
        segment.text = LINES;
    }
}

/// Whether a segment of text ends with a line that is not empty. A request may end with an empty line (RFC 9112,
/// section 2).
#[inline(always)]
fn are_lines<B: FrameBytes>(frame: &B, segment: &SegmentPayload) -> bool {
    if !(4..=MAX_TEXT).contains(&segment.len) {
        return false;
    }
    match frame.load_far::<4>((segment.at + segment.len - 4) as usize) {
        Some([_, b'\n', b'\r', b'\n'] | [_, _, b'\n', b'\n']) => false,
        Some([_, _, _, b'\n']) => true,
        _ => false,
    }
}
