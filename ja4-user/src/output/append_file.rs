//! A file that lines are appended to, and that may be moved away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Mode of a new file: readable by the group, and not by others.
const MODE: u32 = 0o640;

/// Appends lines to a file, and reopens it after it was moved or removed.
#[derive(Debug)]
pub(crate) struct AppendFile {
    path: PathBuf,
    /// Written to an empty file before any line.
    header: Vec<u8>,
    open: Option<OpenAppendFile>,
}

/// Why lines were not appended.
#[derive(Debug)]
pub(crate) struct AppendError {
    /// Bytes of whole lines that were.
    pub(crate) written: usize,
    /// What failed.
    pub(crate) reason: String,
    /// The error of the system.
    pub(crate) source: io::Error,
}

#[derive(Debug)]
struct OpenAppendFile {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// A partial line could not be removed: a line end is written first.
    torn: bool,
}

impl AppendFile {
    pub(crate) const fn new(path: PathBuf, header: Vec<u8>) -> Self {
        Self { path, header, open: None }
    }

    /// Opens the file again before the next line.
    pub(crate) fn reopen(&mut self) {
        self.open = None;
    }

    /// Opens the file, unless it is open at its path.
    ///
    /// # Errors
    /// If it cannot be opened, or its header not be written.
    pub(crate) fn open(&mut self) -> Result<(), AppendError> {
        self.opened().map(|_| ()).map_err(|error| self.error(0, error))
    }

    /// Appends whole lines. After an error, none of them is in the file in part.
    ///
    /// # Errors
    /// If not all were appended.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let appended = match self.opened() {
            Ok(open) => open.append(lines),
            Err(error) => Err((0, error)),
        };
        appended.map_err(|(written, error)| self.error(written, error))
    }

    fn opened(&mut self) -> io::Result<&mut OpenAppendFile> {
        let at_path = |open: &OpenAppendFile| {
            let now = std::fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
            now.ok() == Some(open.identity)
        };
        let open = match self.open.take().filter(at_path) {
            Some(open) => open,
            None => self.open_file()?,
        };
        Ok(self.open.insert(open))
    }

    fn open_file(&self) -> io::Result<OpenAppendFile> {
        // A FIFO without a reader is an error, instead of blocking.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(&self.path)?;
        let known = file.metadata()?;
        let mut open = OpenAppendFile { file, identity: (known.dev(), known.ino()), torn: false };
        if known.len() == 0 {
            open.append(&self.header).map_err(|(_, error)| error)?;
        }
        Ok(open)
    }

    fn error(&self, written: usize, source: io::Error) -> AppendError {
        AppendError { written, reason: format!("cannot append to {}", self.path.display()), source }
    }
}

impl OpenAppendFile {
    /// Appends lines. The error has the number of bytes of whole lines that were.
    fn append(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.write(b"\n").map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        self.write(lines).map_err(|(written, error)| {
            let whole = lines.get(..written).and_then(|lines| memchr::memrchr(b'\n', lines)).map_or(0, |end| end + 1);
            self.remove_end(written - whole);
            (whole, error)
        })
    }

    /// The error has the number of written bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let failed = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err((bytes.len() - rest.len(), failed));
        }
        Ok(())
    }

    /// Removes the part of a line that was written before an error.
    fn remove_end(&mut self, written: usize) {
        if written > 0 {
            let size = self.file.metadata().map(|file| file.len().checked_sub(written as u64));
            self.torn = !matches!(size, Ok(Some(size)) if self.file.set_len(size).is_ok());
        }
    }
}
