//! A capture file, read in batches.

use std::{fmt, fs::File, io, io::Read, path::Path, sync::Arc};

use super::{
    batch::Batch,
    error::{CaptureError, Fault},
    linktype,
    pcap::{self, Pcap},
    pcapng::{self, Pcapng},
    stream::{Compression, Source, Stream},
};

/// The path that stands for stdin.
const STDIN: &str = "-";

/// Bytes that tell the format.
const MAGIC_LEN: usize = 4;

/// How many of the first bytes an error shows.
const SHOWN_LEN: usize = 16;

/// A capture file: pcap or pcapng, plain or in gzip or zstd, told by its content.
///
/// ```no_run
/// use ja4_user::capture::{Batch, CaptureFile};
///
/// # fn main() -> Result<(), ja4_user::capture::CaptureError> {
/// let mut file = CaptureFile::open("trace.pcap.gz".as_ref())?;
/// let mut batch = Batch::new();
/// while file.fill(&mut batch)? {
///     for frame in batch.frames() {
///         println!("{}: {} bytes", frame.number, batch.bytes(frame).len());
///     }
/// }
/// # Ok(()) }
/// ```
pub struct CaptureFile {
    name: String,
    stream: Stream,
    /// Size of the file as it is, in bytes, if it has one.
    size: Option<u64>,
    format: Format,
    /// The unfinished record that the previous batch ended in.
    tail: Vec<u8>,
    /// Where `tail` begins, or else where the next read does: bytes after decompression.
    offset: u64,
    /// The next packet's number.
    number: u64,
    /// Packets delivered.
    packets: u64,
    end: Option<End>,
}

/// How much of a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the file as it is, compressed if it is.
    pub consumed: u64,
    /// Its size in bytes; unknown for stdin and pipes.
    pub total: Option<u64>,
}

#[derive(Debug)]
enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// Why there is nothing more to read.
enum End {
    Clean,
    Failed(CaptureError),
}

impl CaptureFile {
    /// Opens the file at `path`, or stdin for `-`. Nothing is read yet: what the file is comes out at the first
    /// [`CaptureFile::fill`].
    ///
    /// # Errors
    ///
    /// No such file, no permission, a directory.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        if path == Path::new(STDIN) {
            return Ok(Self::from_reader("stdin", Box::new(io::stdin())));
        }
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(CaptureError::open(name, error)),
        };
        if metadata.is_dir() {
            return Err(CaptureError::Directory { name });
        }
        let mut capture = Self::from_reader(name, Box::new(file));
        capture.size = metadata.is_file().then_some(metadata.len());
        Ok(capture)
    }

    /// A capture file from any source; `name` stands for it in errors.
    pub fn from_reader(name: impl Into<String>, source: Source) -> Self {
        Self {
            name: name.into(),
            stream: Stream::new(source),
            size: None,
            format: Format::Unknown,
            tail: Vec::new(),
            offset: 0,
            number: 1,
            packets: 0,
            end: None,
        }
    }

    /// Numbers the packets from `number`: what [`CaptureFile::next_number`] says of the file before this one.
    #[must_use]
    pub fn starting_at(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// The number that the next packet will have.
    pub fn next_number(&self) -> u64 {
        self.number
    }

    /// Packets delivered so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How much was read so far.
    pub fn progress(&self) -> Progress {
        Progress {
            consumed: self.stream.consumed(),
            total: self.size,
        }
    }

    /// Empties `batch` and reads the next chunk into it: true with at least one frame in it, false at a clean end.
    ///
    /// One read that brings a whole packet is enough, so a pipe that is still being written to is followed at its
    /// own pace.
    ///
    /// # Errors
    ///
    /// The file is no capture, or not to be read any further. Every packet before that was delivered. The same error
    /// comes again from then on.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.restart(&self.tail);
        self.tail.clear();
        while self.end.is_none() && batch.frames().is_empty() {
            match self.stream.read(batch.spare()) {
                Ok(0) => self.end = Some(self.at_end(batch.filled())),
                Ok(count) => {
                    batch.grow(count);
                    self.index(batch);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(End::Failed(self.read_error(error, batch.filled()))),
            }
        }
        if !batch.frames().is_empty() {
            return Ok(true);
        }
        match &self.end {
            Some(End::Failed(error)) => Err(error.clone()),
            Some(End::Clean) | None => Ok(false),
        }
    }

    /// Indexes what was read. Without a whole packet in it the rest stays in the batch, else it goes to the tail.
    fn index(&mut self, batch: &mut Batch) {
        let mut at = 0;
        if let Format::Unknown = self.format {
            match self.recognise(batch.filled()) {
                Some(used) => at = used,
                None => return,
            }
        }
        let mut run = batch.index(at, self.number);
        let result = match &mut self.format {
            Format::Unknown => return,
            Format::Pcap(pcap) => pcap.index(&mut run),
            Format::Pcapng(pcapng) => pcapng.index(&mut run),
        };
        let used = run.at;
        self.packets += run.number.saturating_sub(self.number);
        self.number = run.number;
        self.offset += used as u64;
        match result {
            Err(fault) => self.end = Some(End::Failed(self.fault(fault))),
            Ok(()) if batch.frames().is_empty() => batch.drop_front(used),
            Ok(()) => self.tail.extend_from_slice(batch.filled().get(used..).unwrap_or(&[])),
        }
    }

    /// Finds out what the file is and returns the length of its header; `None` if it is none, or not told yet.
    fn recognise(&mut self, start: &[u8]) -> Option<usize> {
        let &magic = start.first_chunk::<MAGIC_LEN>()?;
        if pcapng::is_pcapng(magic) {
            self.format = Format::Pcapng(Pcapng::begin());
            return Some(0);
        }
        if !pcap::is_pcap(magic) {
            self.end = Some(End::Failed(self.not_a_capture(start)));
            return None;
        }
        match Pcap::begin(start)? {
            Ok(pcap) => {
                self.format = Format::Pcap(pcap);
                Some(pcap::FILE_HEADER_LEN)
            }
            Err(fault) => {
                self.end = Some(End::Failed(self.fault(fault)));
                None
            }
        }
    }

    /// What the end of the stream means when `rest` is left over.
    fn at_end(&self, rest: &[u8]) -> End {
        let name = self.name.clone();
        let (started, in_block) = match &self.format {
            // A pcap file whose header is not whole.
            Format::Unknown => (rest.len() >= MAGIC_LEN, false),
            Format::Pcap(_) => (true, false),
            Format::Pcapng(pcapng) => (true, pcapng.in_block()),
        };
        if !started && rest.is_empty() {
            return End::Failed(CaptureError::Empty { name });
        }
        if !started {
            return End::Failed(self.not_a_capture(rest));
        }
        if rest.is_empty() && !in_block {
            return End::Clean;
        }
        End::Failed(CaptureError::Truncated {
            name,
            offset: self.offset,
            packets: self.packets,
        })
    }

    fn not_a_capture(&self, start: &[u8]) -> CaptureError {
        CaptureError::NotACapture {
            name: self.name.clone(),
            compression: self.stream.compression(),
            start: start.iter().copied().take(SHOWN_LEN).collect(),
        }
    }

    fn read_error(&self, error: io::Error, rest: &[u8]) -> CaptureError {
        let (name, packets) = (self.name.clone(), self.packets);
        let compression = self.stream.compression();
        // The decoders pass an error of the system on as it is; their own carry no system's number.
        if compression == Compression::None || error.raw_os_error().is_some() {
            return CaptureError::Read {
                name,
                offset: self.offset + rest.len() as u64,
                packets,
                source: Arc::new(error),
            };
        }
        CaptureError::Decompress {
            name,
            compression,
            packets,
            source: Arc::new(error),
        }
    }

    fn fault(&self, fault: Fault) -> CaptureError {
        let (name, packets) = (self.name.clone(), self.packets);
        match fault {
            Fault::Damage(damage) => CaptureError::Damaged {
                name,
                offset: self.offset,
                packets,
                damage,
            },
            Fault::LinkType(number) => CaptureError::UnsupportedLinkType {
                name,
                number,
                link: linktype::name_of(number),
                packets,
            },
        }
    }
}

impl fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureFile")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("offset", &self.offset)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}
