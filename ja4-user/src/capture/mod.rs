//! Capture files: bytes of a pcap or pcapng file become batches of frames.
//!
//! ```text
//! file or stdin ─ stream (gzip, zstd) ─▶ file (chunks, sticky errors) ─▶ pcap | pcapng (indexing) ─▶ Batch
//! ```
//!
//! A chunk is read straight into the batch that is handed on and its packets are indexed in place; only the
//! unfinished record at its end is copied, to the front of the next batch. What a file is, is decided by its
//! first bytes and never by its name. Every length in a file is a stranger's: each is checked against a bound
//! below before anything is done with it.

pub mod attach;
mod batch;
mod clock;
pub mod ebpf;
mod error;
mod file;
pub mod interface;
mod linktype;
pub mod object;
mod order;
mod pcap;
mod pcapng;
mod stop;
mod stream;
mod zstd;

pub use self::batch::{Batch, FrameRef};
pub use self::error::{CaptureError, Damage};
pub use self::file::{CaptureFile, OnUnsupported, Progress, UnsupportedLinkNotice};
pub use self::linktype::{LinkError, LinkPayload, LinkStart, LinkType};
pub use self::stop::StopFlag;
pub use self::stream::Compression;

/// The largest captured length a packet may state, in bytes: the largest snapshot length that libpcap itself
/// accepts (its `MAXIMUM_SNAPLEN`). A larger number is damage, not a packet.
pub const MAX_PACKET: u32 = 256 * 1024;

/// The largest pcapng block that is looked into, in bytes: a packet of [`MAX_PACKET`] and as much again for its
/// options.
pub const MAX_BLOCK: u32 = 2 * MAX_PACKET;

/// The largest pcapng block that is skipped over, in bytes. Decryption secrets and custom blocks grow large;
/// beyond this the length is damage, and skipping by it would silently swallow the rest of the file.
pub const MAX_SKIPPED_BLOCK: u32 = 64 * 1024 * 1024;

/// The most interfaces one pcapng section may declare: Simple and Enhanced Packet Blocks could name more, but the
/// table must not grow with the length of a hostile file.
pub const MAX_INTERFACES: usize = 65_536;

#[cfg(test)]
mod builder;
#[cfg(test)]
mod tests;
