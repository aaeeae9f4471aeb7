//! The packets of one shard on their way to the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};
use ja4_common::record::flag;

use super::packet_history::PacketHistory;
use super::pcapng;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::output::alert::AlertLine;
use crate::packet::{Packet, flow_key};
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Bytes of packets that are sent at once, without waiting for the next flush.
const FULL: usize = 256 << 10;

/// Bytes of packets that wait in a shard while the queue is full.
const MAX_BUFFERED: usize = 1 << 20;

/// Connections with an alert, in each shard; those without packets for longest are forgotten.
const MAX_FLOWS: usize = 1 << 16;

/// Packets for the file.
#[derive(Debug, Default)]
pub(super) struct PacketChunk {
    /// Their blocks.
    pub(super) blocks: Vec<u8>,
    pub(super) packets: u64,
    /// Descriptions of interfaces that they need.
    pub(super) interfaces: u32,
}

/// Sends the packets of a shard to the file.
#[derive(Debug)]
pub struct PacketRecorder {
    queue: PacketQueue,
    chunk: PacketChunk,
    /// If the file has packets of connections with an alert only.
    alerted: Option<AlertedFlows>,
}

/// The queue of the file.
#[derive(Clone, Debug)]
pub(super) struct PacketQueue {
    pub(super) chunks: Sender<PacketChunk>,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) deadline: ShutdownDeadline,
    /// A full queue is waited for: in a replay.
    pub(super) waits: bool,
}

/// The connections with an alert, and the latest packets of the others.
#[derive(Debug)]
pub(super) struct AlertedFlows {
    /// Seed of the flow hash.
    seed: [u64; 2],
    flows: BoundedLruMap<u64, ()>,
    recent: PacketHistory,
    /// The block of the current packet.
    block: Vec<u8>,
}

impl AlertedFlows {
    pub(super) fn new(seed: [u64; 2], bytes: usize) -> Self {
        Self { seed, flows: BoundedLruMap::new(MAX_FLOWS), recent: PacketHistory::new(bytes), block: Vec::new() }
    }

    /// Whether the connection of a packet has an alert.
    fn has_alert(&mut self, packet: &Packet<'_>) -> bool {
        let hash = &packet.header.hash;
        if packet.header.flags & flag::RESTARTED != 0 {
            // Another connection with the same addresses and ports.
            self.flows.remove(hash);
        }
        self.flows.get_mut(hash).is_some()
    }
}

impl PacketChunk {
    /// Adds a block for an interface.
    fn add(&mut self, interface: u32, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.blocks);
        self.packets += 1;
        self.interfaces = self.interfaces.max(interface.saturating_add(1));
    }
}

impl PacketRecorder {
    pub(super) fn new(queue: PacketQueue, alerted: Option<AlertedFlows>) -> Self {
        Self { queue, chunk: PacketChunk::default(), alerted }
    }

    /// Takes a selected packet.
    pub(crate) fn packet(&mut self, packet: &Packet<'_>) {
        // An unknown interface is the first one.
        let interface = packet.interface.wrapping_add(1);
        if let Some(alerted) = &mut self.alerted
            && !alerted.has_alert(packet)
        {
            alerted.block.clear();
            pcapng::packet(packet, interface, &mut alerted.block);
            alerted.recent.push(packet.header.hash, interface, &alerted.block);
            return;
        }
        self.chunk.add(interface, |blocks| pcapng::packet(packet, interface, blocks));
        if self.chunk.blocks.len() >= FULL {
            self.send();
        }
    }

    /// Takes alerts, and sends what is to be written.
    pub(crate) fn flush(&mut self, alerts: &[(AlertLine, Bytes)]) {
        if let Some(alerted) = &mut self.alerted {
            let AlertedFlows { seed, flows, recent, .. } = alerted;
            let mut is_new = false;
            for flow in alerts.iter().filter_map(|(line, _)| line.alert.flow) {
                let hash = flow_key(flow.client, flow.server, flow.proto).hash(*seed);
                if flows.get_mut(&hash).is_none() {
                    flows.insert(hash, ());
                    is_new = true;
                }
            }
            if is_new {
                recent.take(
                    |flow| flows.peek(&flow, |other| *other == flow).is_some(),
                    |interface, block| self.chunk.add(interface, |blocks| blocks.extend(block)),
                );
            }
        }
        self.send();
    }

    /// Sends the last packets at the end of the run.
    pub(crate) fn finish(&mut self, alerts: &[(AlertLine, Bytes)]) {
        self.queue.waits = true;
        self.flush(alerts);
    }

    fn send(&mut self) {
        if self.chunk.packets == 0 {
            return;
        }
        let PacketQueue { chunks, dropped, deadline, waits } = &self.queue;
        let room = self.chunk.blocks.len();
        let next = PacketChunk { blocks: Vec::with_capacity(room), ..PacketChunk::default() };
        let chunk = std::mem::replace(&mut self.chunk, next);
        let lost = if *waits {
            deadline.send(ShutdownPhase::Output, chunks, chunk).err()
        } else {
            match chunks.try_send(chunk) {
                Ok(()) => None,
                Err(TrySendError::Full(chunk)) if chunk.blocks.len() < MAX_BUFFERED => {
                    self.chunk = chunk;
                    None
                }
                Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => Some(lost),
            }
        };
        dropped.fetch_add(lost.map_or(0, |lost| lost.packets), Ordering::Relaxed);
    }
}
