//! A TCP connection to a receiver that never answers, inside TLS or not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// What is read at once of what a receiver should not say.
const DISCARD: usize = 512;
/// Reads of it in a row: a receiver that talks without end holds up nobody.
const MAX_DISCARDS: usize = 16;

/// A connection.
#[derive(Debug)]
pub(super) struct SyslogStream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl SyslogStream {
    /// Connects, within `limit`.
    pub(super) fn connect(
        address: SocketAddr,
        tls: Option<(&Arc<ClientConfig>, ServerName<'static>)>,
        limit: Duration,
    ) -> io::Result<Self> {
        let deadline = Instant::now() + limit;
        let socket = TcpStream::connect_timeout(&address, limit)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(limit))?;
        socket.set_read_timeout(Some(limit))?;
        // A receiver that is gone without a word is noticed when it owes acknowledgements for this long, or
        // when it does not answer probes.
        setsockopt(&socket, sockopt::TcpUserTimeout, &u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))?;
        setsockopt(&socket, sockopt::KeepAlive, &true)?;
        let Some((config, name)) = tls else {
            return Ok(Self { socket, tls: None });
        };
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            while connection.wants_write() {
                connection.write_tls(&mut &socket)?;
            }
            if connection.is_handshaking() && connection.wants_read() {
                if connection.read_tls(&mut &socket)? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed in the middle of the handshake"));
                }
                let processed = connection.process_new_packets();
                if processed.is_err() {
                    // The alert that says why.
                    let _told = connection.write_tls(&mut &socket);
                }
                processed.map_err(io::Error::other)?;
            }
        }
        while connection.wants_write() {
            connection.write_tls(&mut &socket)?;
        }
        Ok(Self { socket, tls: Some(Box::new(connection)) })
    }

    /// Whether the receiver has closed it. What it says is thrown away.
    pub(super) fn is_closed(&mut self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return true;
        }
        let closed = self.discard();
        closed || self.socket.set_nonblocking(false).is_err()
    }

    fn discard(&mut self) -> bool {
        for _ in 0..MAX_DISCARDS {
            let read = match &mut self.tls {
                None => self.socket.read(&mut [0; DISCARD]),
                Some(tls) => tls.read_tls(&mut self.socket).and_then(|read| {
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    let said = tls.reader().read(&mut [0; DISCARD]);
                    let ended = state.peer_has_closed() || matches!(said, Ok(0));
                    Ok(if ended { 0 } else { read })
                }),
            };
            match read {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
        false
    }

    /// Writes all of it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.socket.write_all(bytes),
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.socket)?;
                }
                Ok(())
            }
        }
    }
}

impl Drop for SyslogStream {
    /// Says goodbye, without a wait.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            if self.socket.set_nonblocking(true).is_ok() {
                let _told = tls.write_tls(&mut self.socket);
            }
        }
    }
}
