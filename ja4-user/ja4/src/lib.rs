//! JA4+ network fingerprints.
//!
//! [`wire`] parses bytes into messages, [`fingerprint`] computes values from messages, and [`Method`] lists the methods.
//! There are no sockets, no clock and no global state: the caller passes bytes and times.
#![forbid(unsafe_code)]

pub mod fingerprint;
mod method;
mod syntax;
pub mod wire;

pub use fingerprint::Carrier;
pub use method::{MAX_VALUE, Method, Side, UnknownMethod};
