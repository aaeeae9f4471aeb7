//! TLS and DTLS hellos (RFC 5246, RFC 8446, RFC 6347) and the record layer that carries them over TCP.
//!
//! [`HandshakeStream`] parses one direction of a TCP stream into handshake messages; [`ClientHello`] and
//! [`ServerHello`] parse their bodies.

mod certificate;
mod client_hello;
mod extension;
mod extension_set;
mod handshake;
mod hello;
mod record;
mod server_hello;

#[cfg(test)]
pub(crate) mod builder;

pub use certificate::{CertificateList, MAX_CERTIFICATES};
pub use client_hello::ClientHello;
pub use extension::{AlpnNames, TlsExtension, TlsExtensions, U16List, extension_type};
pub use handshake::{
    HandshakeEnd, HandshakeMessage, HandshakeStatus, HandshakeStream, HandshakeType, MAX_HANDSHAKE_MESSAGE,
};
pub use hello::{Carrier, is_grease, version_name};
pub(crate) use record::MAX_RECORD_PAYLOAD;
pub use server_hello::ServerHello;
