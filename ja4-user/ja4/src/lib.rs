//! JA4+ network fingerprints.
#![forbid(unsafe_code)]

mod fingerprint;
mod method;
mod syntax;
pub mod wire;

#[cfg(feature = "ja4plus")]
pub use fingerprint::ja4plus::{ja4d, ja4d6, ja4h, ja4l, ja4ls, ja4s, ja4ssh, ja4t, ja4ts, ja4x};
pub use fingerprint::{Fingerprint, Forms, H12, Hashers, Hassh, Input, Retransmissions, SshWindow, ja4};
pub use method::{MAX_VALUE, Method, Side, UnknownMethod};
