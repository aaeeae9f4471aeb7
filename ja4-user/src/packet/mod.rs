//! A selected frame: its record header and its bytes.

mod decode;
pub mod defrag;

pub use self::decode::{DecodeError, Decoded, Segment, Transport, decode, flow_key};

use crate::model::{EventContext, Hook, Time};
use ja4_common::record::{RecordHeader, flag};

/// One selected frame on its way into a shard.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What the filter knew of it. `time` is in nanoseconds since the Unix epoch here.
    pub header: &'a RecordHeader,
    /// The frame, as far as it was captured.
    pub bytes: &'a [u8],
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// Its number in the capture, from 1; absent live.
    pub number: Option<u64>,
}

impl Packet<'_> {
    /// This packet as the cause of an event.
    pub fn cause(&self) -> EventContext {
        let hook = if self.header.flags & flag::EGRESS != 0 { Hook::Egress } else { Hook::Ingress };
        EventContext {
            time: Time(self.header.time),
            interface: self.interface,
            hook: self.number.is_none().then_some(hook),
            packet: self.number,
        }
    }
}
