//! Real clients and servers on the hosts of a [`Wire`](crate::Wire).

mod certificate;
mod dhcp;
mod dtls;
mod http;
mod openvpn;
mod quic;
mod segments;
mod ssh;
mod tls;

pub use certificate::{Chain, KeyType};
pub use dhcp::{Dnsmasq, dhclient, udhcpc};
pub use dtls::{DTLS_10, dtls_client, dtls_server};
pub use http::{Nginx, UPLOAD, curl, curl_requests, nghttp};
pub use openvpn::openvpn;
pub use quic::{quic_client, quic_server};
pub use segments::send_segments;
pub use ssh::Sshd;
pub use tls::{many_protocols, openssl_client, openssl_server};

/// DNS name in the certificates, and SNI of the clients.
pub const NAME: &str = "sensor.test";
