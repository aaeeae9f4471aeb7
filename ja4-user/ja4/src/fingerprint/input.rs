//! What each method reads.

use core::time::Duration;

use crate::fingerprint::retransmissions::Retransmissions;
use crate::fingerprint::ssh_window::SshWindow;
use crate::method::Method;
use crate::wire::dhcp4::Dhcp4Message;
use crate::wire::dhcp6::Dhcp6Message;
use crate::wire::http::HttpRequest;
use crate::wire::tcp::SynFields;
use crate::wire::tls::{ClientHello, ServerHello};
use crate::wire::x509::X509Certificate;

/// The input of one method.
#[derive(Debug)]
pub enum Input<'a> {
    /// JA4: a ClientHello of TLS, QUIC or DTLS.
    ClientHello(&'a ClientHello<'a>),
    /// JA4S: a ServerHello or HelloRetryRequest.
    ServerHello(&'a ServerHello<'a>),
    /// JA4T: a SYN.
    Syn(&'a SynFields),
    /// JA4TS: a SYN-ACK and its retransmissions.
    SynAck(&'a SynFields, &'a Retransmissions),
    /// JA4L: time from the sensor to the client and back, and the TTL or hop limit of the client's packet.
    ClientLatency(Duration, u8),
    /// JA4LS: time from the sensor to the server and back, and the TTL or hop limit of the server's packet.
    ServerLatency(Duration, u8),
    /// JA4H: an HTTP request.
    Request(&'a HttpRequest<'a>),
    /// JA4X: a certificate.
    Certificate(&'a X509Certificate<'a>),
    /// JA4SSH: a window of SSH packets, which is empty afterwards.
    SshWindow(&'a mut SshWindow),
    /// JA4D: a DHCPv4 message.
    Dhcp4(&'a Dhcp4Message<'a>),
    /// JA4D6: a DHCPv6 message.
    Dhcp6(&'a Dhcp6Message<'a>),
}

impl Input<'_> {
    /// The method that reads this input.
    #[inline]
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::ClientHello(_) => Method::Ja4,
            Self::ServerHello(_) => Method::Ja4s,
            Self::Syn(_) => Method::Ja4t,
            Self::SynAck(..) => Method::Ja4ts,
            Self::ClientLatency(..) => Method::Ja4l,
            Self::ServerLatency(..) => Method::Ja4ls,
            Self::Request(_) => Method::Ja4h,
            Self::Certificate(_) => Method::Ja4x,
            Self::SshWindow(_) => Method::Ja4ssh,
            Self::Dhcp4(_) => Method::Ja4d,
            Self::Dhcp6(_) => Method::Ja4d6,
        }
    }
}
