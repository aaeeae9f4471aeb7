//! The file that is being written, and the closed ones beside it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pcapng;
use super::recorder::PacketChunk;
use crate::encode::clock::file_stamp;
use crate::model::InterfaceNames;
use crate::system::clock::wall_clock;

/// Mode of a new file: readable by the group, and not by others.
const MODE: u32 = 0o640;

/// Length of a [`file_stamp`].
const STAMP: usize = "20261123T070000Z".len();

/// Writes packets to a file, which is closed at its largest size.
///
/// A closed file has the UTC time of its end in its name: `packets.20261123T070000Z.pcapng`. A file that is found at the start is
/// closed too, and one that was moved away is left to who moved it.
#[derive(Debug)]
pub(super) struct PacketTarget {
    path: PathBuf,
    max_size: u64,
    max_files: usize,
    names: Arc<InterfaceNames>,
    open: Option<OpenPacketFile>,
    closed: u64,
}

#[derive(Debug)]
struct OpenPacketFile {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    size: u64,
    /// Interfaces that are described in it.
    interfaces: u32,
}

/// A failed step, and the error of the system.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}: {source}", .path.display())]
pub(super) struct PacketFileError {
    step: &'static str,
    path: PathBuf,
    pub(super) source: io::Error,
}

impl PacketTarget {
    pub(super) const fn new(path: PathBuf, max_size: u64, max_files: usize, names: Arc<InterfaceNames>) -> Self {
        Self { path, max_size, max_files, names, open: None, closed: 0 }
    }

    /// Files that were closed.
    pub(super) const fn closed(&self) -> u64 {
        self.closed
    }

    /// Opens the file, unless it is open at its path.
    pub(super) fn open(&mut self) -> Result<(), PacketFileError> {
        self.opened().map(|_| ())
    }

    /// Writes the packets of a chunk. After an error, none of them is in the file.
    pub(super) fn write(&mut self, chunk: &PacketChunk) -> Result<(), PacketFileError> {
        let max_size = self.max_size;
        let open = self.opened()?;
        // A file without packets is not closed: it has no description of an interface yet.
        let is_full = open.interfaces > 0 && open.size + chunk.blocks.len() as u64 > max_size;
        if is_full {
            self.open = None;
            self.close_file()?;
        }
        let names = Arc::clone(&self.names);
        let open = self.opened()?;
        let written = open.append(chunk, &names);
        written.map_err(|source| {
            // What could not be removed from it stays in a closed file.
            let removed = self.open.as_ref().is_some_and(|open| open.file.set_len(open.size).is_ok());
            self.open.take_if(|_| !removed);
            self.error("write to", source)
        })
    }

    fn opened(&mut self) -> Result<&mut OpenPacketFile, PacketFileError> {
        let at_path = |open: &OpenPacketFile| {
            let now = fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
            now.ok() == Some(open.identity)
        };
        let open = match self.open.take().filter(at_path) {
            Some(open) => open,
            None => self.open_file()?,
        };
        Ok(self.open.insert(open))
    }

    fn open_file(&mut self) -> Result<OpenPacketFile, PacketFileError> {
        let mut header = Vec::new();
        pcapng::section(&mut header);
        let length = header.len() as u64;
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.is_file() => {
                let source =
                    io::Error::new(io::ErrorKind::InvalidInput, "it exists and is not a file; name another file");
                return Err(self.error("write packets to", source));
            }
            // A file that got no packets is continued, so that restarts leave no empty files.
            Ok(found) if found.len() == length && fs::read(&self.path).is_ok_and(|bytes| bytes == header) => {
                header.clear();
            }
            Ok(found) if found.len() > 0 => self.close_file()?,
            Ok(_) | Err(_) => {}
        }
        let open = || {
            let file = OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)?;
            let known = file.metadata()?;
            let mut open = OpenPacketFile { file, identity: (known.dev(), known.ino()), size: length, interfaces: 0 };
            open.file.write_all(&header)?;
            Ok(open)
        };
        open().map_err(|source| self.error("open", source))
    }

    /// Gives the file at the path the name of a closed file, and deletes the oldest closed files.
    fn close_file(&mut self) -> Result<(), PacketFileError> {
        let stamp = file_stamp(wall_clock());
        let free = (0..).map(|number| self.closed_path(&stamp, number)).find(|path| !path.exists());
        let moved = free.map_or(Ok(()), |to| fs::rename(&self.path, to));
        moved.map_err(|source| self.error("rename", source))?;
        self.closed += 1;
        let mut closed = self.closed_files().map_err(|source| self.error("list the files beside", source))?;
        closed.sort();
        let excess = closed.len().saturating_sub(self.max_files);
        for (_, _, path) in closed.into_iter().take(excess) {
            fs::remove_file(&path).map_err(|source| PacketFileError { step: "delete", path, source })?;
        }
        Ok(())
    }

    /// The name of a file that was closed at this time, `number` files after the first of that second.
    fn closed_path(&self, stamp: &str, number: u32) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!(".{stamp}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        name.push(self.suffix());
        self.path.with_file_name(name)
    }

    /// The extension with its dot.
    fn suffix(&self) -> OsString {
        let mut suffix = OsString::new();
        if let Some(extension) = self.path.extension() {
            suffix.push(".");
            suffix.push(extension);
        }
        suffix
    }

    /// The closed files: when each was closed, its number in that second, its path.
    fn closed_files(&self) -> io::Result<Vec<(String, u32, PathBuf)>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut start = self.path.file_stem().unwrap_or_default().to_owned();
        start.push(".");
        let suffix = self.suffix();
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let name = name.as_encoded_bytes();
            let middle = name
                .strip_prefix(start.as_encoded_bytes())
                .and_then(|rest| rest.strip_suffix(suffix.as_encoded_bytes()));
            let Some((stamp, number)) = middle.and_then(|middle| str::from_utf8(middle).ok()).and_then(parse_closed)
            else {
                continue;
            };
            found.push((stamp.to_owned(), number, self.closed_path(stamp, number)));
        }
        Ok(found)
    }

    fn error(&self, step: &'static str, source: io::Error) -> PacketFileError {
        PacketFileError { step, path: self.path.clone(), source }
    }
}

/// Splits what [`PacketTarget::closed_path`] adds to a name.
fn parse_closed(text: &str) -> Option<(&str, u32)> {
    let (stamp, number) = text.split_at_checked(STAMP)?;
    let is_stamp = stamp.bytes().enumerate().all(|(place, byte)| match place {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    let number = if number.is_empty() { Some(0) } else { number.strip_prefix('-')?.parse().ok() };
    Some((stamp, number?)).filter(|_| is_stamp)
}

impl OpenPacketFile {
    /// Appends the descriptions of interfaces that the chunk is the first to need, and the chunk.
    fn append(&mut self, chunk: &PacketChunk, names: &InterfaceNames) -> io::Result<()> {
        let mut descriptions = Vec::new();
        for interface in self.interfaces..chunk.interfaces {
            // The first is for packets of an unknown interface.
            pcapng::interface(interface.checked_sub(1).and_then(|index| names.get(index)), &mut descriptions);
        }
        self.file.write_all(&descriptions)?;
        self.file.write_all(&chunk.blocks)?;
        self.interfaces = self.interfaces.max(chunk.interfaces);
        self.size += (descriptions.len() + chunk.blocks.len()) as u64;
        Ok(())
    }
}
