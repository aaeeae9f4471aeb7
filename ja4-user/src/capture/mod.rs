//! Live capture (programs and maps of the kernel half, interfaces, hooks), and capture files as batches of frames.
//!
//! ```text
//! file or stdin ─ stream (gzip, zstd) ─▶ file (chunks, sticky errors) ─▶ pcap | pcapng (indexing) ─▶ Batch
//! ```
//!
//! A chunk is read directly into the batch, and its packets are indexed in place. Only the incomplete record at its end is
//! copied to the front of the next batch. The format is detected by the first bytes, never by the file name. Lengths in a
//! file are untrusted: each is checked against a bound before it is used.

pub mod attach;
pub mod attachment_set;
mod batch;
mod clock;
pub mod ebpf;
mod error;
mod file;
mod filter;
pub mod interface;
pub mod interface_list;
pub mod interface_table;
mod link_message;
pub mod link_socket;
mod linktype;
pub mod object;
mod order;
mod pcap;
mod pcapng;
mod settings;
mod stop;
mod stream;
mod zstd;

pub use self::batch::{Batch, FrameRef};
pub use self::error::{CaptureError, Damage};
pub use self::file::{CaptureFile, OnUnsupported, ReadProgress, UnsupportedLinkNotice};
pub use self::filter::{ExpressionError, FilterExpression};
pub use self::linktype::{LinkError, LinkPayload, LinkStart, LinkType};
pub(crate) use self::settings::IDLE_TIMEOUT;
pub use self::settings::{CaptureSettings, TunnelSettings};
pub use self::stop::StopFlag;
pub use self::stream::Compression;

/// Largest captured length of a packet, in bytes: libpcap's `MAXIMUM_SNAPLEN`. A larger length is damage.
pub(crate) const MAX_PACKET: u32 = 256 * 1024;

/// Largest pcapng block that is parsed, in bytes: a packet of `MAX_PACKET`, and as much for its options.
pub const MAX_BLOCK: u32 = 2 * MAX_PACKET;

/// Largest pcapng block that is skipped, in bytes. Decryption secrets and custom blocks may be large. A larger length is
/// damage; skipping it would silently drop the rest of the file.
pub(crate) const MAX_SKIPPED_BLOCK: u32 = 64 * 1024 * 1024;

/// Most interfaces of one pcapng section, so that the table does not grow with the length of a hostile file.
pub(crate) const MAX_INTERFACES: usize = 65_536;

#[cfg(test)]
mod builder;
#[cfg(test)]
mod tests;
