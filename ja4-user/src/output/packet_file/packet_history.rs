//! The latest packets of a shard, in memory of a fixed size.

use std::collections::VecDeque;

/// Blocks of packets, the oldest first.
#[derive(Debug)]
pub(super) struct PacketHistory {
    packets: VecDeque<PastPacket>,
    /// Their blocks.
    bytes: VecDeque<u8>,
    /// Most bytes of blocks.
    capacity: usize,
}

/// A packet that is remembered.
#[derive(Debug)]
struct PastPacket {
    /// Hash of its flow; `None`: it was taken.
    flow: Option<u64>,
    interface: u32,
    length: usize,
}

impl PacketHistory {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { packets: VecDeque::new(), bytes: VecDeque::new(), capacity }
    }

    /// Adds the block of a packet, and forgets the oldest ones that find no room.
    pub(super) fn push(&mut self, flow: u64, interface: u32, block: &[u8]) {
        if block.len() > self.capacity {
            return;
        }
        while self.bytes.len() + block.len() > self.capacity {
            let Some(oldest) = self.packets.pop_front() else { break };
            self.bytes.drain(..oldest.length);
        }
        self.packets.push_back(PastPacket { flow: Some(flow), interface, length: block.len() });
        self.bytes.extend(block);
    }

    /// Takes the packets of the flows that `is_wanted` names, in their order.
    pub(super) fn take(
        &mut self,
        is_wanted: impl Fn(u64) -> bool,
        mut each: impl FnMut(u32, &mut dyn Iterator<Item = u8>),
    ) {
        let mut start = 0;
        for packet in &mut self.packets {
            let end = start + packet.length;
            if packet.flow.take_if(|flow| is_wanted(*flow)).is_some() {
                each(packet.interface, &mut self.bytes.range(start..end).copied());
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(recent: &mut PacketHistory, flow: u64) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        recent.take(|other| other == flow, |_, block| taken.push(block.collect()));
        taken
    }

    #[test]
    fn the_packets_of_a_flow_are_taken_once_in_their_order() {
        let mut recent = PacketHistory::new(100);
        for (flow, block) in [(1, [1; 4]), (2, [2; 4]), (1, [3; 4])] {
            recent.push(flow, 0, &block);
        }
        assert_eq!(take(&mut recent, 1), [[1; 4], [3; 4]]);
        assert!(take(&mut recent, 1).is_empty());
        recent.push(1, 0, &[4; 4]);
        assert_eq!(take(&mut recent, 1), [[4; 4]]);
        assert_eq!(take(&mut recent, 2), [[2; 4]]);
    }

    #[test]
    fn the_oldest_packets_are_forgotten_first() {
        let mut recent = PacketHistory::new(100);
        for number in 0..50_u8 {
            recent.push(7, 0, &[number; 30]);
        }
        assert_eq!(take(&mut recent, 7), [[47; 30], [48; 30], [49; 30]]);
        recent.push(7, 0, &[0; 101]);
        assert!(recent.bytes.len() <= 100 && take(&mut recent, 7).is_empty());
    }
}
