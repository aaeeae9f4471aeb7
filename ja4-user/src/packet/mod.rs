//! Selected frames: record header and bytes, decoding, defragmentation.

mod decode;
pub mod defrag;
mod frame;
pub(crate) mod range_buffer;

pub use self::decode::{DecodeError, Decoded, Segment, TransportHeader, decode};
pub(crate) use self::decode::{flow_key, vlan_tags};
pub use self::frame::Packet;
