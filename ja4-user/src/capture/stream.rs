//! The byte stream of a capture file: what is read, counted, and decompressed where its first bytes say so.

use std::{
    fmt,
    io::{self, BufReader, Chain, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use super::zstd::ZstdFrames;

/// Compressed bytes read at a time.
const COMPRESSED_CHUNK: usize = 128 * 1024;

/// Bytes that tell the compression, the length of zstd's magic.
const MAGIC_LEN: usize = 4;

/// What a capture file is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip (RFC 1952), any number of members.
    Gzip,
    /// zstd (RFC 8878), any number of frames.
    Zstd,
}

impl Compression {
    fn of(start: &[u8]) -> Self {
        match *start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame.
            [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A source of bytes that can move to another thread.
pub(super) type Source = Box<dyn Read + Send>;

/// A capture file's bytes, decompressed.
pub(super) struct Stream {
    content: Content,
    consumed: Arc<AtomicU64>,
}

/// The source with its first bytes put back.
type Whole = Chain<Cursor<Vec<u8>>, Counted>;

enum Content {
    /// Nothing was read yet.
    Unread(Counted),
    Plain(Whole),
    Gzip(Box<MultiGzDecoder<BufReader<Whole>>>),
    Zstd(Box<ZstdFrames<BufReader<Whole>>>),
    /// The source failed before its compression was known.
    Broken,
}

impl Stream {
    pub(super) fn new(source: Source) -> Self {
        let consumed = Arc::new(AtomicU64::new(0));
        Self { content: Content::Unread(Counted { source, count: Arc::clone(&consumed) }), consumed }
    }

    /// Bytes read of the source, as it is.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    pub(super) fn compression(&self) -> Compression {
        match self.content {
            Content::Gzip(_) => Compression::Gzip,
            Content::Zstd(_) => Compression::Zstd,
            Content::Unread(_) | Content::Plain(_) | Content::Broken => Compression::None,
        }
    }

    /// Reads the first bytes and chooses the decoder.
    fn begin(mut source: Counted) -> io::Result<Content> {
        let mut start = Vec::with_capacity(MAGIC_LEN);
        source.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut start)?;
        let compression = Compression::of(&start);
        let whole = Cursor::new(start).chain(source);
        Ok(match compression {
            Compression::None => Content::Plain(whole),
            Compression::Gzip => {
                let chunks = BufReader::with_capacity(COMPRESSED_CHUNK, whole);
                Content::Gzip(Box::new(MultiGzDecoder::new(chunks)))
            }
            Compression::Zstd => {
                let chunks = BufReader::with_capacity(COMPRESSED_CHUNK, whole);
                Content::Zstd(Box::new(ZstdFrames::new(chunks)))
            }
        })
    }
}

impl Read for Stream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if let Content::Unread(_) = self.content
            && let Content::Unread(source) = std::mem::replace(&mut self.content, Content::Broken)
        {
            self.content = Self::begin(source)?;
        }
        match &mut self.content {
            Content::Plain(whole) => whole.read(target),
            Content::Gzip(decoder) => decoder.read(target),
            Content::Zstd(decoder) => decoder.read(target),
            Content::Unread(_) | Content::Broken => Ok(0),
        }
    }
}

/// A source that counts what is read from it.
struct Counted {
    source: Source,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(target)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
