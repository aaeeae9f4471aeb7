//! HTTP/1 requests (RFC 9112).
//!
//! [`Http1Stream`] finds the header blocks of one direction, [`block`](self) reads one, and the body between
//! two of them is walked over, since the next request stands behind it.

mod block;
mod body;
mod stream;

pub use block::{MAX_BLOCK, MAX_LINES, MAX_METHOD};
pub use stream::{Http1Status, Http1Stream};

#[cfg(test)]
mod tests;
