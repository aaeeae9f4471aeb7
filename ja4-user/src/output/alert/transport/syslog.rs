//! Syslog over UDP, TCP and TLS.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::super::config::{SyslogTarget, SyslogTransport};
use super::error::DeliveryError;
use super::stream::SyslogStream;

/// Lifetime of a resolved address over UDP, so that a receiver with a new address is found: UDP reports no failure.
const ADDRESS_AGE: Duration = Duration::from_secs(300);

/// Time to wait for an ICMP error after a datagram, if the previous one was refused: it arrives within a round trip.
const REFUSAL_AFTER: Duration = Duration::from_millis(200);

/// Sends messages to one receiver.
#[derive(Debug)]
pub(in super::super) struct SyslogClient {
    target: SyslogTarget,
    limit: Duration,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    link: Option<SyslogLink>,
    /// Over UDP: the last message was refused, so the next one waits for an ICMP error.
    is_refused: bool,
    frame: Vec<u8>,
}

#[derive(Debug)]
enum SyslogLink {
    Udp(UdpSocket, Instant),
    Stream(SyslogStream),
}

impl SyslogClient {
    /// # Errors
    /// If the TLS configuration is invalid.
    pub(in super::super) fn new(target: SyslogTarget, limit: Duration) -> Result<Self, String> {
        let tls = if target.transport == SyslogTransport::Tls {
            let name = ServerName::try_from(target.server_name.clone()).map_err(|error| error.to_string())?;
            Some((Arc::new(target.roots.client().map_err(|error| error.to_string())?), name))
        } else {
            None
        };
        Ok(Self { target, limit, tls, link: None, is_refused: false, frame: Vec::new() })
    }

    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
        let stale = match &mut self.link {
            Some(SyslogLink::Udp(_, since)) => since.elapsed() > ADDRESS_AGE,
            // A write to a connection that the receiver has closed succeeds without being delivered.
            Some(SyslogLink::Stream(stream)) => stream.is_closed(),
            None => false,
        };
        if stale {
            self.link = None;
        }
        let link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        let link = self.link.insert(link);
        let sent = match link {
            SyslogLink::Udp(socket, _) => {
                let sent = socket.send(message).and_then(|_| {
                    if self.is_refused {
                        // Sending succeeds on a new socket; only the ICMP error shows that the port is closed.
                        thread::sleep(REFUSAL_AFTER);
                        socket.take_error()?.map_or(Ok(()), Err)
                    } else {
                        Ok(())
                    }
                });
                self.is_refused = sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
                sent
            }
            SyslogLink::Stream(stream) => {
                // Octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
                self.frame.clear();
                self.frame.extend_from_slice(message.len().to_string().as_bytes());
                self.frame.push(b' ');
                self.frame.extend_from_slice(message);
                stream.send(&self.frame)
            }
        };
        sent.map_err(|error| {
            self.link = None;
            self.error(&error)
        })
    }

    fn connect(&self) -> Result<SyslogLink, DeliveryError> {
        let addresses = self.target.address.to_socket_addrs().map_err(|error| self.error(&error))?;
        let mut failed = None;
        for address in addresses {
            let link = match self.target.transport {
                SyslogTransport::Udp => datagrams(address).map(|socket| SyslogLink::Udp(socket, Instant::now())),
                SyslogTransport::Tcp | SyslogTransport::Tls => {
                    let tls = self.tls.as_ref().map(|(config, name)| (config, name.clone()));
                    SyslogStream::connect(address, tls, self.limit).map(SyslogLink::Stream)
                }
            };
            match link {
                Ok(link) => return Ok(link),
                Err(error) => failed = Some(error),
            }
        }
        let failed = failed.unwrap_or_else(|| io::Error::other("the name has no address"));
        Err(self.error(&failed))
    }

    fn error(&self, error: &io::Error) -> DeliveryError {
        DeliveryError::io(&self.target.address, error)
    }
}

fn datagrams(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    // A full buffer drops the datagram instead of blocking.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
