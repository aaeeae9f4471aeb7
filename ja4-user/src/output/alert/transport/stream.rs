//! A TCP connection to a receiver that never replies, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// Bytes of unexpected data that are read at once.
const DISCARD: usize = 512;
/// Most reads of unexpected data in a row.
const MAX_DISCARDS: usize = 16;

/// A connection.
#[derive(Debug)]
pub(super) struct SyslogStream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl SyslogStream {
    /// Connects within `limit`.
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
        // A vanished receiver is detected by missing acknowledgements or keepalive replies.
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
                    // The TLS alert with the reason.
                    let _sent = connection.write_tls(&mut &socket);
                }
                processed.map_err(io::Error::other)?;
            }
        }
        while connection.wants_write() {
            connection.write_tls(&mut &socket)?;
        }
        Ok(Self { socket, tls: Some(Box::new(connection)) })
    }

    /// Whether the receiver has closed the connection. Received data is discarded.
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
                    let received = tls.reader().read(&mut [0; DISCARD]);
                    let ended = state.peer_has_closed() || matches!(received, Ok(0));
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

    /// Writes all bytes.
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
    /// Sends a close_notify without waiting.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            if self.socket.set_nonblocking(true).is_ok() {
                let _sent = tls.write_tls(&mut self.socket);
            }
        }
    }
}
