//! Errors of the HTTP server.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::system::unix_socket::UnixSocketError;

/// The server cannot listen on an address.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Another process uses the port.
    #[error("cannot serve HTTP on {0}: another process listens there; name another port, or stop that process")]
    InUse(SocketAddr),
    /// No interface has the address.
    #[error("cannot serve HTTP on {0}: this host has no such address; name one of its own, such as 127.0.0.1")]
    NotHere(SocketAddr),
    /// The port requires root or a capability.
    #[error("cannot serve HTTP on {0}: not permitted; name a port above 1023, or add CAP_NET_BIND_SERVICE")]
    Privilege(SocketAddr),
    /// The Unix socket cannot be served.
    #[error(transparent)]
    Socket(#[from] UnixSocketError),
    /// There is no such group.
    #[error("http.socket_group: there is no group '{0}'; name one of this host, or add it with groupadd")]
    Group(String),
    /// The token cannot be read.
    #[error("http.token_file {}: {reason}", .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: io::Error,
    },
    /// The system call failed.
    #[error("cannot serve HTTP on {address}: {reason}; name another address")]
    Io {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        reason: io::Error,
    },
}

impl HttpError {
    pub(super) fn new(address: SocketAddr, reason: io::Error) -> Self {
        match reason.kind() {
            ErrorKind::AddrInUse => Self::InUse(address),
            ErrorKind::AddrNotAvailable => Self::NotHere(address),
            ErrorKind::PermissionDenied => Self::Privilege(address),
            _ => Self::Io { address, reason },
        }
    }
}
