//! A selected frame.

use ja4_common::parse::ParseStart;
use ja4_common::record::{RecordHeader, flag};

use crate::model::{EventContext, Hook, Time, VlanTags};

/// One selected frame that a shard processes.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The filter's record header. `time` is in nanoseconds since the Unix epoch here.
    pub header: &'a RecordHeader,
    /// The captured bytes of the frame.
    pub bytes: &'a [u8],
    /// The header with which they start.
    pub start: ParseStart,
    /// VLAN tags of the frame, if the bytes are those of a packet in a tunnel.
    pub outer_vlan: Option<VlanTags>,
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// Its number in the capture, from 1; absent live.
    pub number: Option<u64>,
}

impl Packet<'_> {
    /// The context of an event that this packet causes.
    pub fn context(&self) -> EventContext {
        let hook = if self.header.flags & flag::EGRESS != 0 { Hook::Egress } else { Hook::Ingress };
        EventContext {
            time: Time(self.header.time),
            interface: self.interface,
            hook: self.number.is_none().then_some(hook),
            packet: self.number,
        }
    }
}
