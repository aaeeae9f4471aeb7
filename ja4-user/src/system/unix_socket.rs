//! Unix sockets that the sensor listens on: path, permissions, removal.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_socket, connect, listen, socket,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{Gid, fchownat};
use thiserror::Error;

/// Length of the accept queue.
const BACKLOG: i32 = 16;

/// Mode of a socket that a group may connect to.
const MODE_OF_GROUP: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP).union(Mode::S_IWGRP);

/// A socket cannot be served.
#[derive(Debug, Error)]
pub enum UnixSocketError {
    /// The path is not a socket.
    #[error("cannot serve the socket {}: the path is not a socket; name another path, or remove it", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("cannot serve the socket {}: another process listens there; name another path, or stop that process", .0.display())]
    InUse(PathBuf),
    /// A system call failed.
    #[error("cannot serve the socket {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// The path of the socket, removed when this is dropped, unless another process has replaced the socket.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _removed = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Binds the path, for the sensor's user and for `group`. A stale socket is removed.
///
/// # Errors
/// See [`UnixSocketError`].
pub(crate) fn bind(path: &Path, group: Option<Gid>) -> Result<(UnixListener, BoundSocket), UnixSocketError> {
    let failed = |source: io::Error| UnixSocketError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(UnixSocketError::NotASocket(path.to_owned())),
        Ok(_) => match probe(path) {
            // EAGAIN: a process listens but does not accept.
            Ok(()) | Err(nix::Error::EAGAIN) => return Err(UnixSocketError::InUse(path.to_owned())),
            Err(nix::Error::ECONNREFUSED) => fs::remove_file(path).map_err(failed)?,
            Err(error) => return Err(failed(error.into())),
        },
    }
    let listener = listener(path, group).map_err(|error| match error {
        nix::Error::EADDRINUSE => UnixSocketError::InUse(path.to_owned()),
        error => failed(error.into()),
    })?;
    Ok((listener, BoundSocket { path: path.to_owned(), identity: identity(path) }))
}

/// Connects without blocking.
fn probe(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

fn listener(path: &Path, group: Option<Gid>) -> nix::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file gets the mode of the socket at bind time, less the umask: no other user can connect in between.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind_socket(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    if let Some(group) = group {
        fchownat(AT_FDCWD, path, None, Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        fchmodat(AT_FDCWD, path, MODE_OF_GROUP, FchmodatFlags::FollowSymlink)?;
    }
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket.into())
}
