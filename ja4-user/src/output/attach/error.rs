//! Errors of the attach socket.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The socket cannot be served.
#[derive(Debug, Error)]
pub enum AttachSocketError {
    /// There is something else in its place.
    #[error("{} is not a socket; name another path for the attach socket, or remove it", .0.display())]
    NotASocket(PathBuf),
    /// Somebody listens there.
    #[error("another process serves {}; name another path for the attach socket, or end it", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot serve the attach socket {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
