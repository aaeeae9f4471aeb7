//! Selected frames: record header and bytes, decoding, defragmentation.

mod decode;
pub mod defrag;
mod frame;
pub(crate) mod range_buffer;

pub use self::decode::{DecodeError, Decoded, Segment, TransportHeader, decode, flow_key};
pub use self::frame::Packet;
