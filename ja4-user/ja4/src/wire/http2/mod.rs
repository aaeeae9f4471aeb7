//! Cleartext HTTP/2 (RFC 9113): the frames of a client, and the field sections in them (RFC 7541).

mod frame;
pub mod hpack;
mod stream;

pub use frame::PREFACE;
pub use hpack::HeaderList;
pub use stream::{Http2Status, Http2Stream, MAX_BLOCK, MAX_CONTINUATIONS};
