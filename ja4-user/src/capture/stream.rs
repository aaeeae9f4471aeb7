//! The byte stream of a capture file: read, counted, and decompressed if its first bytes are those of gzip or zstd.

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

/// Bytes that identify the compression: the length of zstd's magic.
const MAGIC_LEN: usize = 4;

/// The compression of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
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
pub(super) type ByteSource = Box<dyn Read + Send>;

/// The decompressed bytes of a capture file.
pub(super) struct CaptureStream {
    content: StreamContent,
    consumed: Arc<AtomicU64>,
}

/// The source, with its first bytes prepended again.
type PeekedSource = Chain<Cursor<Vec<u8>>, CountedSource>;

enum StreamContent {
    /// Nothing is read yet.
    Unread(CountedSource),
    Plain(PeekedSource),
    Gzip(Box<MultiGzDecoder<BufReader<PeekedSource>>>),
    Zstd(Box<ZstdFrames<BufReader<PeekedSource>>>),
    /// The source failed before its compression was known.
    Broken,
}

impl CaptureStream {
    pub(super) fn new(source: ByteSource) -> Self {
        let consumed = Arc::new(AtomicU64::new(0));
        Self { content: StreamContent::Unread(CountedSource { source, count: Arc::clone(&consumed) }), consumed }
    }

    /// Returns the bytes read from the source, before decompression.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    pub(super) fn compression(&self) -> Compression {
        match self.content {
            StreamContent::Gzip(_) => Compression::Gzip,
            StreamContent::Zstd(_) => Compression::Zstd,
            StreamContent::Unread(_) | StreamContent::Plain(_) | StreamContent::Broken => Compression::None,
        }
    }

    /// Reads the first bytes and selects the decoder.
    fn open(mut source: CountedSource) -> io::Result<StreamContent> {
        let mut start = Vec::with_capacity(MAGIC_LEN);
        source.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut start)?;
        let compression = Compression::of(&start);
        let source = Cursor::new(start).chain(source);
        Ok(match compression {
            Compression::None => StreamContent::Plain(source),
            Compression::Gzip => {
                let chunks = BufReader::with_capacity(COMPRESSED_CHUNK, source);
                StreamContent::Gzip(Box::new(MultiGzDecoder::new(chunks)))
            }
            Compression::Zstd => {
                let chunks = BufReader::with_capacity(COMPRESSED_CHUNK, source);
                StreamContent::Zstd(Box::new(ZstdFrames::new(chunks)))
            }
        })
    }
}

impl Read for CaptureStream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if let StreamContent::Unread(_) = self.content
            && let StreamContent::Unread(source) = std::mem::replace(&mut self.content, StreamContent::Broken)
        {
            self.content = Self::open(source)?;
        }
        match &mut self.content {
            StreamContent::Plain(source) => source.read(target),
            StreamContent::Gzip(decoder) => decoder.read(target),
            StreamContent::Zstd(decoder) => decoder.read(target),
            StreamContent::Unread(_) | StreamContent::Broken => Ok(0),
        }
    }
}

/// A source that counts what is read from it.
struct CountedSource {
    source: ByteSource,
    count: Arc<AtomicU64>,
}

impl Read for CountedSource {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(target)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
