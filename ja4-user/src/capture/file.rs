//! A capture file, read in batches.

use std::{fmt, fs::File, io, io::Read, os::fd::AsFd, path::Path, sync::Arc};

use super::{
    batch::{Batch, SkippedPackets},
    error::{CaptureError, IndexError},
    linktype,
    pcap::{self, Pcap},
    pcapng::{self, Pcapng},
    stop::{StopFlag, Stoppable},
    stream::{ByteSource, CaptureStream, Compression},
};

/// The path of stdin.
const STDIN: &str = "-";

/// Bytes that identify the format.
const MAGIC_LEN: usize = 4;

/// Number of first bytes that an error shows.
const SHOWN_LEN: usize = 16;

/// A capture file: pcap or pcapng, plain or compressed with gzip or zstd, detected by its content.
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
    stream: CaptureStream,
    /// Size of the file before decompression, in bytes, if known.
    size: Option<u64>,
    format: CaptureFormat,
    /// The incomplete record at the end of the previous batch.
    tail: Vec<u8>,
    /// Offset of `tail`, or else of the next read, in bytes after decompression.
    offset: u64,
    /// The next packet's number.
    number: u64,
    /// Packets delivered.
    packets: u64,
    /// Packets skipped because of their link type.
    unsupported: SkippedPackets,
    /// Called at the first skipped packet.
    on_unsupported: Option<OnUnsupported>,
    end: Option<FileEnd>,
}

/// Called once per file, at its first packet of an unsupported link type.
pub type OnUnsupported = Box<dyn FnOnce(&UnsupportedLinkNotice) + Send>;

/// The notice of the first packet of a file that is skipped because of its link type. Its text names the file, the packet
/// and the link type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedLinkNotice {
    /// The file.
    pub name: String,
    /// The packet's number, as in [`FrameRef::number`](super::FrameRef::number).
    pub packet: u64,
    /// The link type's number in the registry of tcpdump.org.
    pub link: u16,
}

impl fmt::Display for UnsupportedLinkNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, packet, link } = self;
        let link_name = linktype::name_of(*link);
        write!(
            f,
            "{name}: cannot decode packet {packet}: link type {link} ({link_name}) is not supported; packets of such \
             interfaces are skipped and counted as capture.link_unsupported"
        )
    }
}

/// The progress of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadProgress {
    /// Bytes read, before decompression.
    pub consumed: u64,
    /// Size in bytes; unknown for stdin and pipes.
    pub total: Option<u64>,
}

#[derive(Debug)]
enum CaptureFormat {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// The end of a file.
enum FileEnd {
    Clean,
    Failed(CaptureError),
}

impl CaptureFile {
    /// Opens the file at `path`, or stdin for `-`. Nothing is read yet; the first [`CaptureFile::fill`] detects the format.
    ///
    /// # Errors
    ///
    /// If the file does not exist, cannot be read, or is a directory.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::open_until(path, StopFlag::default())
    }

    /// Opens a file; a blocking pipe ends once `stop` is set.
    ///
    /// # Errors
    ///
    /// As [`CaptureFile::open`].
    pub(crate) fn open_until(path: &Path, stop: StopFlag) -> Result<Self, CaptureError> {
        if path == Path::new(STDIN) {
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            let stdin = stdin.map_err(|error| CaptureError::open("stdin".to_owned(), error))?;
            return Ok(Self::from_reader("stdin", Box::new(Stoppable::new(stdin.into(), stop))));
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
        if !metadata.is_file() {
            return Ok(Self::from_reader(name, Box::new(Stoppable::new(file, stop))));
        }
        let mut capture = Self::from_reader(name, Box::new(file));
        capture.size = Some(metadata.len());
        Ok(capture)
    }

    /// Creates a capture file from any source; `name` identifies it in errors.
    pub fn from_reader(name: impl Into<String>, source: ByteSource) -> Self {
        Self {
            name: name.into(),
            stream: CaptureStream::new(source),
            size: None,
            format: CaptureFormat::Unknown,
            tail: Vec::new(),
            offset: 0,
            number: 1,
            packets: 0,
            unsupported: SkippedPackets::default(),
            on_unsupported: None,
            end: None,
        }
    }

    /// Sets the function that is called at the first packet of an unsupported link type.
    #[must_use]
    pub(crate) fn on_unsupported(mut self, notify: OnUnsupported) -> Self {
        self.on_unsupported = Some(notify);
        self
    }

    /// Numbers the packets from `number`: the [`CaptureFile::next_number`] of the previous file.
    #[must_use]
    pub(crate) fn starting_at(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// Returns the number of the next packet.
    pub fn next_number(&self) -> u64 {
        self.number
    }

    /// Returns the number of packets delivered so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Returns the number of packets skipped so far because of their link type.
    pub fn unsupported(&self) -> u64 {
        self.unsupported.packets
    }

    /// Returns the progress.
    pub fn progress(&self) -> ReadProgress {
        ReadProgress { consumed: self.stream.consumed(), total: self.size }
    }

    /// Empties `batch` and reads the next chunk into it. Returns true with at least one frame, and false at a clean end.
    ///
    /// Returns after the first read with a complete packet, so that packets from a pipe are processed as they arrive.
    ///
    /// # Errors
    ///
    /// If the file is not a capture, or cannot be read further. Earlier packets were delivered. Later calls return the same
    /// error.
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
                Err(error) => self.end = Some(FileEnd::Failed(self.read_error(error, batch.filled()))),
            }
        }
        if !batch.frames().is_empty() {
            return Ok(true);
        }
        match &self.end {
            Some(FileEnd::Failed(error)) => Err(error.clone()),
            Some(FileEnd::Clean) | None => Ok(false),
        }
    }

    /// Indexes the bytes read. Without a complete packet, the rest stays in the batch; else it is copied to the tail.
    fn index(&mut self, batch: &mut Batch) {
        let mut at = 0;
        if let CaptureFormat::Unknown = self.format {
            match self.recognise(batch.filled()) {
                Some(used) => at = used,
                None => return,
            }
        }
        let mut run = batch.index(at, self.number);
        let result = match &mut self.format {
            CaptureFormat::Unknown => return,
            CaptureFormat::Pcap(pcap) => pcap.index(&mut run),
            CaptureFormat::Pcapng(pcapng) => pcapng.index(&mut run),
        };
        let (used, number, skipped) = (run.at, run.number, run.skipped);
        self.packets += number.saturating_sub(self.number).saturating_sub(skipped.packets);
        self.number = number;
        self.offset += used as u64;
        self.count_unsupported(skipped);
        match result {
            Err(fault) => self.end = Some(FileEnd::Failed(self.fault(fault))),
            Ok(()) if batch.frames().is_empty() => batch.drop_front(used),
            Ok(()) => self.tail.extend_from_slice(batch.filled().get(used..).unwrap_or(&[])),
        }
    }

    /// Counts the skipped packets of a chunk, and notifies at the first one.
    fn count_unsupported(&mut self, skipped: SkippedPackets) {
        self.unsupported.packets += skipped.packets;
        if self.unsupported.first.is_some() {
            return;
        }
        self.unsupported.first = skipped.first;
        if let Some((packet, link)) = skipped.first
            && let Some(notify) = self.on_unsupported.take()
        {
            notify(&UnsupportedLinkNotice { name: self.name.clone(), packet, link });
        }
    }

    /// Detects the format and returns the length of the header; `None` if it is unknown, or not known yet.
    fn recognise(&mut self, start: &[u8]) -> Option<usize> {
        let &magic = start.first_chunk::<MAGIC_LEN>()?;
        if pcapng::is_pcapng(magic) {
            self.format = CaptureFormat::Pcapng(Pcapng::new());
            return Some(0);
        }
        if !pcap::is_pcap(magic) {
            if start.len() < SHOWN_LEN {
                return None;
            }
            self.end = Some(FileEnd::Failed(self.not_a_capture(start)));
            return None;
        }
        match Pcap::parse(start)? {
            Ok(pcap) => {
                self.format = CaptureFormat::Pcap(pcap);
                Some(pcap::FILE_HEADER_LEN)
            }
            Err(fault) => {
                self.end = Some(FileEnd::Failed(self.fault(fault)));
                None
            }
        }
    }

    /// Returns the end of the file, with `rest` left over.
    fn at_end(&self, rest: &[u8]) -> FileEnd {
        let name = self.name.clone();
        let is_complete = match &self.format {
            CaptureFormat::Unknown if rest.is_empty() => return FileEnd::Failed(CaptureError::Empty { name }),
            // The header of a pcap file may be truncated.
            CaptureFormat::Unknown => match rest.first_chunk::<MAGIC_LEN>() {
                Some(magic) if pcap::is_pcap(*magic) => false,
                _ => return FileEnd::Failed(self.not_a_capture(rest)),
            },
            CaptureFormat::Pcap(_) => rest.is_empty(),
            CaptureFormat::Pcapng(pcapng) => rest.is_empty() && !pcapng.in_block(),
        };
        if is_complete {
            return match self.unsupported.first {
                Some((_, link)) if self.packets == 0 => FileEnd::Failed(self.fault(IndexError::LinkType(link))),
                _ => FileEnd::Clean,
            };
        }
        FileEnd::Failed(CaptureError::Truncated { name, offset: self.offset, packets: self.packets })
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
        // Decoders pass on system errors unchanged; their own errors have no system error number.
        if compression == Compression::None || error.raw_os_error().is_some() {
            return CaptureError::Read {
                name,
                offset: self.offset + rest.len() as u64,
                packets,
                source: Arc::new(error),
            };
        }
        CaptureError::Decompress { name, compression, packets, source: Arc::new(error) }
    }

    fn fault(&self, fault: IndexError) -> CaptureError {
        let (name, packets) = (self.name.clone(), self.packets);
        match fault {
            IndexError::Damage(damage) => CaptureError::Damaged { name, offset: self.offset, packets, damage },
            IndexError::LinkType(number) => {
                CaptureError::UnsupportedLinkType { name, number, link: linktype::name_of(number) }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{
        builder::{CaptureBuilder, gzip, read, read_to_end, zstd},
        order::ByteOrder,
    };

    const MAGIC: u32 = 0xa1b2_c3d4;

    fn three_packets() -> Vec<u8> {
        let file = CaptureBuilder::pcap(ByteOrder::Little, MAGIC, 1);
        file.record(1, 0, 0, b"one").record(2, 0, 0, b"two").record(3, 0, 0, b"three").bytes
    }

    /// The message with its causes.
    fn line(error: &CaptureError) -> String {
        match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn an_unreadable_path_is_reported_with_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let missing = CaptureFile::open(&folder.path().join("none.pcap")).unwrap_err();
        assert!(line(&missing).contains("none.pcap: no such file; check the path"));
        let directory = CaptureFile::open(folder.path()).unwrap_err();
        assert!(line(&directory).contains(": the path is a directory; name the capture files in it"));
        let denied = CaptureError::open("a.pcap".into(), io::ErrorKind::PermissionDenied.into());
        assert!(line(&denied).starts_with("cannot open a.pcap: permission denied; run as a user who may"));
    }

    #[test]
    fn packet_numbers_continue_and_progress_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace");
        std::fs::write(&path, three_packets()).unwrap();
        let mut file = CaptureFile::open(&path).unwrap().starting_at(41);
        let mut batch = Batch::new();
        assert!(file.fill(&mut batch).unwrap());
        let numbers: Vec<_> = batch.frames().iter().map(|frame| frame.number).collect();
        assert_eq!(numbers, [41, 42, 43]);
        assert!(!file.fill(&mut batch).unwrap());
        assert_eq!(file.next_number(), 44);
        let size = three_packets().len() as u64;
        assert_eq!(file.progress(), ReadProgress { consumed: size, total: Some(size) });
    }

    #[test]
    fn an_empty_file_is_distinguished_from_a_capture_without_packets() {
        let error = read(b"").failed_after(0);
        assert!(line(&error).starts_with("cannot read test: the file is empty;"), "{error}");
        assert!(matches!(read(&gzip(b"")).failed_after(0), CaptureError::Empty { .. }));
        assert!(matches!(read(&zstd(b"")).failed_after(0), CaptureError::Empty { .. }));
        assert!(read(&three_packets()[..24]).clean().is_empty());
    }

    #[test]
    fn the_error_of_an_unknown_format_shows_the_first_bytes() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"BZh91AY&SY",
                "cannot read test: unknown capture format: it starts with 42 5a 68 39 31 41 59 26 53 59, which looks like bzip2",
            ),
            (b"{\"a\": 1}", "which looks like text"),
            (b"\0\x01", "it starts with 00 01;"),
            (
                &gzip(b"hello"),
                "unknown capture format of the gzip content: it starts with 68 65 6c 6c 6f, which looks like text",
            ),
            (&zstd(&gzip(&three_packets())), "unknown capture format of the zstd content: it starts with 1f 8b"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).failed_after(0);
            assert!(matches!(error, CaptureError::NotACapture { .. }));
            assert!(line(&error).contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_truncated_anywhere_yields_its_complete_packets() {
        let whole = three_packets();
        // Where the header and each packet end.
        let ends = [24, 24 + 19, 24 + 2 * 19, whole.len()];
        for cut in 4..whole.len() {
            let outcome = read(&whole[..cut]);
            let packets = ends[1..].iter().filter(|&&end| end <= cut).count();
            if ends.contains(&cut) {
                assert_eq!(outcome.clean().len(), packets);
                continue;
            }
            let begins = ends.iter().rfind(|&&end| end <= cut).copied().unwrap_or(0);
            match outcome.failed_after(packets) {
                CaptureError::Truncated { offset, packets: delivered, .. } => {
                    assert_eq!((offset, delivered), (begins as u64, packets as u64));
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_truncated_compressed_file_yields_its_readable_packets() {
        let mut file = CaptureBuilder::pcap(ByteOrder::Little, MAGIC, 1);
        for number in 0..20_000u32 {
            let noise = number.wrapping_mul(0x9e37_79b9).to_le_bytes().repeat(5);
            file = file.record(number, number, 0, &noise);
        }
        for packed in [gzip(&file.bytes), zstd(&file.bytes)] {
            assert_eq!(read(&packed).clean().len(), 20_000);
            let outcome = read(&packed[..packed.len() * 3 / 4]);
            let packets = outcome.frames.len();
            assert!((1_000..20_000).contains(&packets), "{packets} packets");
            let error = outcome.failed_after(packets);
            assert!(matches!(error, CaptureError::Decompress { .. }), "{error}");
            assert!(line(&error).contains(&format!("truncated or damaged after {packets} packets; copy")));
        }
    }

    #[test]
    fn a_read_error_is_reported_after_the_packets_before_it() {
        struct Failing(io::Cursor<Vec<u8>>);
        impl Read for Failing {
            fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
                match self.0.read(target)? {
                    // EIO
                    0 => Err(io::Error::from_raw_os_error(5)),
                    count => Ok(count),
                }
            }
        }
        for bytes in [three_packets(), gzip(&three_packets())] {
            let file = CaptureFile::from_reader("disk", Box::new(Failing(io::Cursor::new(bytes))));
            let error = read_to_end(file).failed_after(3);
            assert!(line(&error).starts_with("cannot read disk beyond byte"), "{error}");
            assert!(line(&error).contains("Input/output error"), "{error}");
        }
    }
}
