//! Real clients and servers on the hosts of a [`Wire`](crate::Wire).

mod certificate;
mod http;
mod pieces;
mod tls;

pub use certificate::{Chain, Key};
pub use http::{Nginx, curl};
pub use pieces::send_pieces;
pub use tls::{many_protocols, openssl_client, openssl_server};

/// The name in the certificates, and the SNI of the clients.
pub const NAME: &str = "sensor.test";
