//! journald transport: one datagram per message, to a Unix socket.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::error::DeliveryError;

/// Sends messages to journald.
#[derive(Debug)]
pub(in super::super) struct JournaldClient {
    path: PathBuf,
    limit: Duration,
    socket: Option<UnixDatagram>,
}

impl JournaldClient {
    pub(in super::super) const fn new(path: PathBuf, limit: Duration) -> Self {
        Self { path, limit, socket: None }
    }

    /// Sends a message. A full queue of the receiver blocks until the timeout. After an error the next attempt connects
    /// again: a restarted journald may have a new socket.
    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
        let socket = self.socket.take().map_or_else(|| self.connect(), Ok);
        let sent = socket.and_then(|socket| {
            socket.send(message)?;
            Ok(socket)
        });
        self.socket = Some(sent.map_err(|error| DeliveryError::io(self.path.display(), &error))?);
        Ok(())
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(self.limit))?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}
