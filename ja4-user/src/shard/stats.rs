//! What a shard counts.

use crate::event::Ended;
use crate::flow::Outcome;
use crate::packet::DecodeError;
use crate::wire::WireError;

/// Counters of one core, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Records taken.
    pub packets: u64,
    /// Records whose headers were cut, by [`DecodeError::ALL`].
    pub undecodable: [u64; DecodeError::ALL.len()],
    /// TLS bytes that broke a rule, by [`WireError::ALL`].
    pub malformed: [u64; WireError::ALL.len()],
    /// Segments that belong to no handshake.
    pub stray_segments: u64,
    /// Bytes seen before.
    pub duplicate_bytes: u64,
    /// Bytes that came twice and differed; the first copy stayed.
    pub conflicting_bytes: u64,
    /// Bytes that found no room to wait for the ones before them.
    pub refused_bytes: u64,
    /// Connections begun.
    pub opened: u64,
    /// Connections ended, by [`Ended`].
    pub ended: [u64; Ended::ALL.len()],
    /// Connections known now.
    pub connections: u64,
    /// Bytes that wait now.
    pub held_bytes: u64,
}

impl CoreStats {
    /// Adds another core's.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        sum(&mut self.undecodable, &other.undecodable);
        sum(&mut self.malformed, &other.malformed);
        self.stray_segments += other.stray_segments;
        self.duplicate_bytes += other.duplicate_bytes;
        self.conflicting_bytes += other.conflicting_bytes;
        self.refused_bytes += other.refused_bytes;
        self.opened += other.opened;
        sum(&mut self.ended, &other.ended);
        self.connections += other.connections;
        self.held_bytes += other.held_bytes;
    }

    pub(super) fn count_undecodable(&mut self, error: DecodeError) {
        bump(&mut self.undecodable, error as usize);
    }

    pub(super) fn count_malformed(&mut self, error: WireError) {
        bump(&mut self.malformed, error.index());
    }

    pub(super) fn count_ended(&mut self, ended: Ended) {
        bump(&mut self.ended, ended as usize);
    }

    pub(super) fn count_reassembly(&mut self, outcome: &Outcome) {
        self.duplicate_bytes += outcome.duplicate as u64;
        self.conflicting_bytes += outcome.conflicting as u64;
        self.refused_bytes += outcome.refused.total() as u64;
    }
}

fn bump(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}

fn sum(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
