//! SSH: identification strings, HASSH and JA4SSH.

mod stream;
mod traffic;

pub(crate) use stream::{BANNER, SshHandshake};
pub(crate) use traffic::SshTraffic;
