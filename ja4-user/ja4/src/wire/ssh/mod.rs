//! SSH: identification strings and the first key exchange message (RFC 4253, sections 4.2, 6 and 7.1).
//!
//! Both are sent unencrypted, before all other messages. Later messages are not parsed.

mod identification;
mod kex_init;
mod stream;

pub use identification::Identification;
pub use kex_init::KexInit;
pub use stream::{MAX_PACKET_LENGTH, MAX_PREAMBLE, SshMessage, SshStatus, SshStream};

#[cfg(test)]
pub(crate) use kex_init::builder;
