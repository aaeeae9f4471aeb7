//! Errors of the attach socket.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The socket cannot be served.
#[derive(Debug, Error)]
pub enum AttachSocketError {
    /// The path is not a socket.
    #[error("cannot serve the attach socket {}: the path is not a socket; name another path, or remove it", .0.display())]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error("cannot serve the attach socket {}: another process listens there; name another path, or stop that process", .0.display())]
    InUse(PathBuf),
    /// A system call failed.
    #[error("cannot serve the attach socket {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}
