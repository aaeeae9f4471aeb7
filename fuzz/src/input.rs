//! Input encodings that several targets share.

use std::fmt::Debug;

/// Iterates over byte strings that are stored one after the other, each with a prefix of two bytes (big-endian).
///
/// The bits of `length_mask` are the length; the target may use the other bits as flags. Yields prefix and bytes. The
/// last byte string is shorter than its length if the input ends.
pub(super) fn length_prefixed(data: &[u8], length_mask: u16) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (prefix, after) = rest.split_first_chunk()?;
        let prefix = u16::from_be_bytes(*prefix);
        let (bytes, after) = after.split_at(after.len().min(usize::from(prefix & length_mask)));
        rest = after;
        Some((prefix, bytes))
    })
}

/// Asserts that `parse`, called with a stream and a chunk length, returns the same for the whole stream, for single
/// bytes and for chunks of `1 + extra` bytes. Returns that result.
pub(super) fn assert_split_invariant<T>(stream: &[u8], extra: u8, parse: impl Fn(&[u8], usize) -> T) -> T
where
    T: Debug + PartialEq,
{
    let unsplit = parse(stream, stream.len().max(1));
    for chunk_len in [1, 1 + usize::from(extra)] {
        assert_eq!(parse(stream, chunk_len), unsplit, "in chunks of {chunk_len} bytes");
    }
    unsplit
}
