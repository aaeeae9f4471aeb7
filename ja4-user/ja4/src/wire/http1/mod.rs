//! HTTP/1 requests (RFC 9112).
//!
//! [`Http1Stream`] finds the header blocks of one direction and parses them. It skips bodies, to find the next request
//! after them.

mod block;
mod body;
mod stream;

pub use block::{MAX_BLOCK, MAX_LINES, MAX_METHOD};
pub use stream::{Http1Status, Http1Stream};

#[cfg(test)]
mod tests;
