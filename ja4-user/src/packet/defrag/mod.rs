//! Reassembly of IP fragments (RFC 791, section 3.2; RFC 8200, section 4.5).
//!
//! Input is a frame from its IP header on. Output begins with an IP header that does not describe a fragment, so it is
//! processed as any other packet.
//!
//! The first copy of a byte counts, in IPv6 too: RFC 5722 requires a host to discard a datagram with overlapping
//! fragments, but then anyone who adds such a fragment could hide a datagram from a sensor. Overlaps are counted.
//!
//! Fragments that no host accepts are refused, and counted by reason. Those that hosts accept are taken, however small:
//! all but the last have at least eight bytes.

mod datagram;
mod defragmenter;
mod error;
mod fragment;
mod limits;
mod stats;

pub use self::defragmenter::Defragmenter;
pub use self::error::DefragError;
pub use self::limits::DefragLimits;
pub use self::stats::DefragStats;
