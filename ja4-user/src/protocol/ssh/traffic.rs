//! The packets of an SSH connection that JA4SSH counts.

use std::num::NonZeroU16;

use ja4::SshWindow;

use crate::conntrack::SeenRanges;
use crate::model::{PerSide, Side};

/// The traffic of an SSH connection.
#[derive(Debug)]
pub(crate) struct SshTraffic {
    /// Packets since the last JA4SSH value; `None` once there was no memory for it.
    pub(crate) window: Option<SshWindow>,
    /// Bytes of each side that were counted.
    seen: PerSide<SeenRanges>,
}

impl SshTraffic {
    /// Traffic that begins with these ACKs without payload.
    pub(crate) fn new(window: NonZeroU16, bare_acks: PerSide<u8>) -> Self {
        let mut window = SshWindow::new(window);
        for (side, acks) in bare_acks.iter() {
            for _ in 0..*acks {
                window.ack(side == Side::Client);
            }
        }
        Self { window: Some(window), seen: PerSide::default() }
    }

    /// Counts an ACK without payload.
    pub(crate) fn ack(&mut self, side: Side) {
        if let Some(window) = &mut self.window {
            window.ack(side == Side::Client);
        }
    }

    /// Counts `length` bytes at `seq` of one packet, unless it is a retransmission without a new byte. Returns whether the
    /// window is full.
    pub(crate) fn packet(&mut self, side: Side, seq: u32, length: u32) -> bool {
        let is_new = self.seen[side].add(seq, length);
        is_new && self.window.as_mut().is_some_and(|window| window.packet(side == Side::Client, length))
    }
}
