//! Bounds of a defragmenter.

use std::time::Duration;

/// Incomplete datagrams. A shard usually has a handful at one time; the bound is for a flood of first fragments.
const DATAGRAMS: usize = 512;

/// Fragments of one datagram. The longest datagram has 119 at an MTU of 576, which every IPv4 host must accept (RFC 791), and
/// 54 at the minimum MTU of IPv6 (1280).
const FRAGMENTS: usize = 128;

/// Payload of one datagram: the maximum of the length field of IP.
pub(super) const PAYLOAD: usize = 65_535;

/// Bytes buffered in all datagrams together: 16 of the longest, or the first fragments of some 700 that have two.
const BYTES: usize = 1 << 20;

/// Time for a datagram to become complete, as `net.ipv4.ipfrag_time` of Linux.
const AGE: Duration = Duration::from_secs(30);

/// Bounds of a defragmenter.
///
/// It takes at most twice `bytes` of the heap, since buffers grow by doubling, and some 8 KiB for each of `datagrams`:
/// headers, ranges, and the capacity that a slot keeps for the next datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefragLimits {
    /// Incomplete datagrams; 0 counts as 1.
    pub datagrams: usize,
    /// Fragments of one datagram that have new bytes.
    pub fragments: usize,
    /// Bytes of one datagram's payload; the format allows 65535.
    pub payload: usize,
    /// Bytes buffered in all datagrams together, with headers.
    pub bytes: usize,
    /// Time after its first fragment within which a datagram has to be complete, by the time of packets.
    pub age: Duration,
}

impl DefragLimits {
    /// The default bounds.
    pub const DEFAULT: Self =
        Self { datagrams: DATAGRAMS, fragments: FRAGMENTS, payload: PAYLOAD, bytes: BYTES, age: AGE };
}

impl Default for DefragLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
