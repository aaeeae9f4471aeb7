//! Selected frames: record header and bytes, decoding, defragmentation.

mod decode;
pub mod defrag;
mod frame;
pub(crate) mod range_buffer;

pub(crate) use self::decode::flow_key;
pub use self::decode::{DecodeError, Decoded, Segment, TransportHeader, decode};
pub use self::frame::Packet;
