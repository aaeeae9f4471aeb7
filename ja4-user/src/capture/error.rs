//! Why a capture file could not be read, or not to its end.

use std::{fmt, io, sync::Arc};

use super::{MAX_INTERFACES, MAX_PACKET, stream::Compression};

/// An error of a capture file. Each is one line that names the file, the cause and the mend.
///
/// Whatever could be read was delivered before the error is.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// There is no such file.
    #[error("{name}: no such file; check the path, or give - to read from stdin")]
    NotFound {
        /// The file.
        name: String,
    },
    /// The file may not be read by this user.
    #[error("{name}: permission denied; run as a user who may read it, or change its owner or mode")]
    Permission {
        /// The file.
        name: String,
    },
    /// The path is a directory.
    #[error("{name}: is a directory; name the capture files in it")]
    Directory {
        /// The directory.
        name: String,
    },
    /// Opening or reading failed in the operating system.
    #[error("{name}: cannot be read beyond byte {offset}, after {packets} packets")]
    Read {
        /// The file.
        name: String,
        /// How much was read, in bytes.
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file has no bytes, or decompresses to none.
    #[error("{name}: is empty; the capture was stopped, or copied, before anything was written")]
    Empty {
        /// The file.
        name: String,
    },
    /// The first bytes belong to no capture format.
    #[error(
        "{name}: {} not a capture: {}; give a pcap or pcapng file, as it is or in gzip or zstd",
        ContentName(*compression),
        FirstBytes(start)
    )]
    NotACapture {
        /// The file.
        name: String,
        /// What the bytes were packed in.
        compression: Compression,
        /// The first bytes, at most 16.
        start: Vec<u8>,
    },
    /// The file ends within its header, a packet or a block.
    #[error(
        "{name}: truncated: it ends within the record at byte {offset}, after {packets} whole packets; \
         it is still being written, or was not copied whole"
    )]
    Truncated {
        /// The file.
        name: String,
        /// Where the unfinished record begins, in bytes (after decompression).
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
    },
    /// A record contradicts the format; nothing after it can be trusted.
    #[error(
        "{name}: damaged at byte {offset}, after {packets} packets: {damage}; copy the file again, or repair it with \
         editcap or pcapfix"
    )]
    Damaged {
        /// The file.
        name: String,
        /// Where the bad record begins, in bytes (after decompression).
        offset: u64,
        /// Packets delivered from it.
        packets: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// Every packet has a link layer that the sensor cannot decode.
    #[error(
        "{name}: no packet can be decoded: link type {number} ({link}) is not supported; capture on an interface with \
         Ethernet, raw IP, Linux cooked, BSD loopback or PPP framing"
    )]
    UnsupportedLinkType {
        /// The file.
        name: String,
        /// The link type's number in the registry of tcpdump.org.
        number: u16,
        /// Its name, as far as known.
        link: &'static str,
    },
    /// The compressed stream is cut short or damaged.
    #[error("{name}: the {compression} data is truncated or damaged, after {packets} packets; copy the file again")]
    Decompress {
        /// The file.
        name: String,
        /// What it is packed in.
        compression: Compression,
        /// Packets delivered from it.
        packets: u64,
        /// What the decoder said.
        source: Arc<io::Error>,
    },
}

impl CaptureError {
    /// The error for a path that could not be opened.
    pub(super) fn open(name: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            io::ErrorKind::PermissionDenied => Self::Permission { name },
            io::ErrorKind::IsADirectory => Self::Directory { name },
            _ => Self::Read { name, offset: 0, packets: 0, source: Arc::new(source) },
        }
    }
}

/// How a record contradicts its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A packet states more captured bytes than any capture tool writes.
    #[error("a packet of {0} bytes, more than the {MAX_PACKET} that any capture tool writes")]
    PacketLength(u32),
    /// A packet states more captured bytes than its block holds.
    #[error("a packet of {captured} bytes in a block of {block}")]
    PacketBeyondBlock {
        /// The packet's captured length, in bytes.
        captured: u32,
        /// The block's total length, in bytes.
        block: u32,
    },
    /// A block's length is no multiple of 4, too small for its kind or absurdly large.
    #[error("a block with the absurd length of {0} bytes")]
    BlockLength(u32),
    /// A block's second length differs from its first.
    #[error("a block of {head} bytes that calls itself {tail} bytes long at its end")]
    BlockTrailer {
        /// The length at the block's head.
        head: u32,
        /// The length at its end.
        tail: u32,
    },
    /// A section header without a byte-order magic.
    #[error("a section header whose byte-order magic is {0:#010x}")]
    ByteOrder(u32),
    /// A section of a version nobody has written yet.
    #[error("a section of pcapng version {0}, where only 1 is known")]
    SectionVersion(u16),
    /// A section header or an interface description that cannot be parsed.
    #[error("an unreadable section header or interface description")]
    BlockContent,
    /// A packet of an interface that was not declared before it.
    #[error("a packet of interface {interface}, where the section declares {declared}")]
    UndeclaredInterface {
        /// The interface's number within its section.
        interface: u32,
        /// How many its section has declared.
        declared: usize,
    },
    /// More interfaces than a section may declare.
    #[error("more than {MAX_INTERFACES} interfaces in one section")]
    TooManyInterfaces,
}

/// Why indexing stopped, without the file's name and place.
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

/// "is", or "its gzip content is".
struct ContentName(Compression);

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Compression::None => f.write_str("is"),
            packed => write!(f, "its {packed} content is"),
        }
    }
}

/// The first bytes in hex, and what they look like.
struct FirstBytes<'a>(&'a [u8]);

impl fmt::Display for FirstBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it begins with")?;
        for byte in self.0 {
            write!(f, " {byte:02x}")?;
        }
        match looks_like(self.0) {
            Some(what) => write!(f, ", which looks like {what}"),
            None => Ok(()),
        }
    }
}

/// What people mistake for a capture file, by its first bytes.
fn looks_like(start: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "gzip once more"),
        (b"\x28\xb5\x2f\xfd", "zstd once more"),
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
