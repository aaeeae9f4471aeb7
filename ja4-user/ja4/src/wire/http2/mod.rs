//! Cleartext HTTP/2 (RFC 9113): the frames of a client, and the field sections in them (RFC 7541).

mod frame;
pub mod hpack;
mod stream;

pub use hpack::HeaderList;
pub use stream::{Http2Stream, MAX_BLOCK, MAX_CONTINUATIONS, Status};

/// What a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
