//! Errors of capture files.

use std::{fmt, io, sync::Arc};

use super::{MAX_INTERFACES, MAX_PACKET, stream::Compression};
use crate::units::Counted;

/// An error of a capture file. The text names the file, the cause and the fix.
///
/// Packets before the error were delivered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file does not exist.
    #[error("cannot open {name}: no such file; check the path, or give - to read from stdin")]
    NotFound {
        /// The file.
        name: String,
    },
    /// The user must not read the file.
    #[error("cannot open {name}: permission denied; run as a user who may read it, or change its owner or mode")]
    Permission {
        /// The file.
        name: String,
    },
    /// The path is a directory.
    #[error("cannot open {name}: the path is a directory; name the capture files in it")]
    Directory {
        /// The directory.
        name: String,
    },
    /// A system error while opening or reading.
    #[error("cannot read {name} beyond byte {offset}, after {}", Counted(*packets, "packet"))]
    Read {
        /// The file.
        name: String,
        /// Bytes read.
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
        /// The system error.
        source: Arc<io::Error>,
    },
    /// The file, or its decompressed content, is empty.
    #[error("cannot read {name}: the file is empty; the capture was stopped or copied before a packet was written")]
    Empty {
        /// The file.
        name: String,
    },
    /// The first bytes are not those of a supported format.
    #[error(
        "cannot read {name}: unknown capture format{}: {}; give a pcap or pcapng file, plain or compressed with gzip or zstd",
        ContentName(*compression),
        FirstBytes(start)
    )]
    NotACapture {
        /// The file.
        name: String,
        /// The compression.
        compression: Compression,
        /// The first bytes, at most 16.
        start: Vec<u8>,
    },
    /// The file ends within its header, a packet or a block.
    #[error(
        "cannot read {name}: truncated in the record at byte {offset}, after {}; wait until it is written, or copy it \
         again",
        Counted(*packets, "packet")
    )]
    Truncated {
        /// The file.
        name: String,
        /// Offset of the incomplete record, in bytes after decompression.
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
    },
    /// A record violates the format; the rest of the file is unusable.
    #[error(
        "cannot read {name}: damaged at byte {offset}, after {}: {damage}; copy the file again, or repair it with editcap \
         or pcapfix",
        Counted(*packets, "packet")
    )]
    Damaged {
        /// The file.
        name: String,
        /// Offset of the damaged record, in bytes after decompression.
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
        /// The damage.
        damage: Damage,
    },
    /// No packet has a supported link type.
    #[error(
        "cannot decode {name}: link type {number} ({link}) is not supported; capture on an interface with \
         Ethernet, raw IP, Linux cooked, BSD loopback or PPP framing"
    )]
    UnsupportedLinkType {
        /// The file.
        name: String,
        /// The link type's number in the registry of tcpdump.org.
        number: u16,
        /// The name of the link type.
        link: &'static str,
    },
    /// The compressed stream is truncated or damaged.
    #[error(
        "cannot decompress {name}: the {compression} data is truncated or damaged after {}; copy the file again",
        Counted(*packets, "packet")
    )]
    Decompress {
        /// The file.
        name: String,
        /// The compression.
        compression: Compression,
        /// Packets delivered from it.
        packets: u64,
        /// The error of the decoder.
        source: Arc<io::Error>,
    },
}

impl CaptureError {
    /// Returns the error of a path that could not be opened.
    pub(super) fn open(name: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            io::ErrorKind::PermissionDenied => Self::Permission { name },
            io::ErrorKind::IsADirectory => Self::Directory { name },
            _ => Self::Read { name, offset: 0, packets: 0, source: Arc::new(source) },
        }
    }
}

/// The damage of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The captured length exceeds the maximum.
    #[error("packet of {0} bytes, more than the maximum of {MAX_PACKET}")]
    PacketLength(u32),
    /// The captured length exceeds the block.
    #[error("packet of {captured} bytes in a block of {block} bytes")]
    PacketBeyondBlock {
        /// The packet's captured length, in bytes.
        captured: u32,
        /// The block's total length, in bytes.
        block: u32,
    },
    /// A block length that is not a multiple of 4, too small for its kind, or too large.
    #[error("invalid block length {0}")]
    BlockLength(u32),
    /// The two lengths of a block differ.
    #[error("block length {head} at its start and {tail} at its end")]
    BlockTrailer {
        /// The length at the start.
        head: u32,
        /// The length at the end.
        tail: u32,
    },
    /// An unknown byte-order magic.
    #[error("section header with the byte-order magic {0:#010x}")]
    ByteOrder(u32),
    /// An unknown version.
    #[error("section of pcapng version {0}; only version 1 is supported")]
    SectionVersion(u16),
    /// A section header or interface description that cannot be parsed.
    #[error("malformed section header or interface description")]
    BlockContent,
    /// A packet of an undeclared interface.
    #[error("packet of interface {interface} in a section with {}", Counted(*declared as u64, "interface"))]
    UndeclaredInterface {
        /// The interface's number within its section.
        interface: u32,
        /// Number of declared interfaces.
        declared: usize,
    },
    /// Too many interfaces in a section.
    #[error("more than {MAX_INTERFACES} interfaces in one section")]
    TooManyInterfaces,
}

/// Why indexing stopped, without file name and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexError {
    Damage(Damage),
    LinkType(u16),
}

impl From<Damage> for IndexError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// The suffix that names the compressed content.
struct ContentName(Compression);

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Compression::None => Ok(()),
            packed => write!(f, " of the {packed} content"),
        }
    }
}

/// The first bytes in hex, and the format that they resemble.
struct FirstBytes<'a>(&'a [u8]);

impl fmt::Display for FirstBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it starts with")?;
        for byte in self.0 {
            write!(f, " {byte:02x}")?;
        }
        match looks_like(self.0) {
            Some(what) => write!(f, ", which looks like {what}"),
            None => Ok(()),
        }
    }
}

/// Returns the name of a format that is often mistaken for a capture, from the first bytes.
fn looks_like(start: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "gzip (compressed twice)"),
        (b"\x28\xb5\x2f\xfd", "zstd (compressed twice)"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf", "a 7z archive"),
        (b"\x7fELF", "a program"),
        (b"snoop\0", "a Solaris snoop capture"),
        (b"GMBU", "a Microsoft Network Monitor capture"),
        (b"RTSS", "a Microsoft Network Monitor capture"),
        (b"MDMP", "a Windows minidump"),
    ];
    let known = KNOWN.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, what)| what);
    let text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    known.or_else(|| start.iter().all(text).then_some("text"))
}
