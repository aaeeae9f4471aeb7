//! TLS: JA4, JA4S and JA4X.

mod handshake;
mod stream;

pub(crate) use handshake::restart_handshake;
pub(crate) use stream::{TlsStream, parse};
