//! File transport: lines are appended to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::error::DeliveryError;

/// Mode of a new file: readable by the group, and not by others.
const MODE: u32 = 0o640;

/// Appends lines to a file, and reopens it after it was moved.
#[derive(Debug)]
pub(in super::super) struct AlertFile {
    path: PathBuf,
    open: Option<OpenAlertFile>,
    line: Vec<u8>,
}

#[derive(Debug)]
struct OpenAlertFile {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// A partial line could not be removed: a line end is written first.
    torn: bool,
}

impl AlertFile {
    pub(in super::super) const fn new(path: PathBuf) -> Self {
        Self { path, open: None, line: Vec::new() }
    }

    pub(super) fn reopen(&mut self) {
        self.open = None;
    }

    /// Appends a line in one write.
    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
        let moved = |open: &OpenAlertFile| {
            let now = std::fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
            now.ok() != Some(open.identity)
        };
        if self.open.as_ref().is_none_or(moved) {
            self.open = None;
            self.open = Some(self.open_file().map_err(|error| self.error(&error))?);
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        self.line.clear();
        if open.torn {
            self.line.push(b'\n');
        }
        self.line.extend_from_slice(message);
        self.line.push(b'\n');
        let written = open.append(&self.line);
        written.map_err(|error| self.error(&error))
    }

    fn open_file(&self) -> io::Result<OpenAlertFile> {
        // A FIFO without a reader is an error, instead of blocking.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(&self.path)?;
        let known = file.metadata()?;
        Ok(OpenAlertFile { file, identity: (known.dev(), known.ino()), torn: false })
    }

    fn error(&self, error: &io::Error) -> DeliveryError {
        DeliveryError::io(format_args!("cannot append to {}", self.path.display()), error)
    }
}

impl OpenAlertFile {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return self.remove_partial(line.len() - rest.len(), io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.remove_partial(line.len() - rest.len(), error),
            }
        }
        self.torn = false;
        Ok(())
    }

    /// Removes the part of a line that was written before the error.
    fn remove_partial(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        if written > 0 {
            let size = self.file.metadata().map(|file| file.len().checked_sub(written as u64));
            let removed = matches!(size, Ok(Some(size)) if self.file.set_len(size).is_ok());
            self.torn |= !removed;
        }
        Err(error)
    }
}
