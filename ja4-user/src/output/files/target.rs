//! What the lines of an event file are written to.

use std::io::{self, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::EventFileType;
use crate::output::append_file::{AppendError, AppendFile};

/// Time to wait for the reader of a socket with a full buffer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Priority of a syslog message (RFC 5424, section 6.2.1): facility local0, severity informational; and its tag.
const SYSLOG_START: &[u8] = b"<134>ja4sensor: ";

/// A file, or a connection to a socket.
#[derive(Debug)]
pub(super) enum EventTarget {
    File(AppendFile),
    Stream(StreamTarget),
    Datagrams(DatagramTarget),
}

/// A stream socket.
#[derive(Debug)]
pub(super) struct StreamTarget {
    path: PathBuf,
    header: Vec<u8>,
    connected: Option<UnixStream>,
}

/// A datagram socket.
#[derive(Debug)]
pub(super) struct DatagramTarget {
    path: PathBuf,
    /// What each datagram starts with.
    start: &'static [u8],
    connected: Option<UnixDatagram>,
    datagram: Vec<u8>,
}

impl EventTarget {
    /// Creates the target. `header` precedes the lines of a new file and of each connection.
    pub(super) fn new(path: PathBuf, filetype: EventFileType, header: Vec<u8>) -> Self {
        let datagrams =
            |start, path| Self::Datagrams(DatagramTarget { path, start, connected: None, datagram: Vec::new() });
        match filetype {
            EventFileType::Regular => Self::File(AppendFile::new(path, header)),
            EventFileType::UnixStream => Self::Stream(StreamTarget { path, header, connected: None }),
            EventFileType::UnixDgram => datagrams(b"", path),
            EventFileType::Syslog => datagrams(SYSLOG_START, path),
        }
    }

    /// Opens a file, so that its errors are known at the start. A socket is connected to by the first line.
    pub(super) fn open(&mut self) -> Result<(), AppendError> {
        match self {
            Self::File(file) => file.open(),
            Self::Stream(_) | Self::Datagrams(_) => Ok(()),
        }
    }

    /// Opens a file again. Sockets reconnect by themselves.
    pub(super) fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.reopen();
        }
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        match self {
            Self::File(file) => file.append(lines),
            Self::Stream(stream) => stream.write(lines),
            Self::Datagrams(datagrams) => datagrams.write(lines),
        }
    }
}

impl StreamTarget {
    fn write(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let mut written = 0;
        let result = self.stream().and_then(|stream| {
            while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
                match stream.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        result.map_err(|source| {
            // The reader has part of a line, so the next one is written to another connection.
            self.connected = None;
            let whole = lines.get(..written).and_then(|lines| memchr::memrchr(b'\n', lines)).map_or(0, |end| end + 1);
            failed(&self.path, whole, source)
        })
    }

    fn stream(&mut self) -> io::Result<&mut UnixStream> {
        let stream = match self.connected.take() {
            Some(stream) => stream,
            None => {
                let mut stream = UnixStream::connect(&self.path)?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                stream.write_all(&self.header)?;
                stream
            }
        };
        Ok(self.connected.insert(stream))
    }
}

impl DatagramTarget {
    fn write(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let mut written = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.send(line.strip_suffix(b"\n").unwrap_or(line)).map_err(|source| {
                self.connected = None;
                failed(&self.path, written, source)
            })?;
            written += line.len();
        }
        Ok(())
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let socket = match self.connected.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket.set_write_timeout(Some(TIMEOUT))?;
                socket
            }
        };
        self.datagram.clear();
        self.datagram.extend_from_slice(self.start);
        self.datagram.extend_from_slice(line);
        self.connected.insert(socket).send(&self.datagram).map(|_| ())
    }
}

fn failed(path: &Path, written: usize, source: io::Error) -> AppendError {
    AppendError { written, reason: format!("cannot write to the socket {}", path.display()), source }
}
