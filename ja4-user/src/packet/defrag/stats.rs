//! The counters of defragmentation.

use super::error::DefragError;

/// Counters of one defragmenter, or sums of them.
///
/// For the payload bytes of all well-formed fragments:
/// `bytes = buffered_bytes + completed_bytes + expired_bytes + evicted_bytes + duplicate_bytes + overlapped_bytes +
/// refused_bytes`. For datagrams: `started = pending + completed + expired + evicted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefragStats {
    /// Fragments received.
    pub fragments: u64,
    /// Fragments refused, by [`DefragError::ALL`].
    pub refused: [u64; DefragError::ALL.len()],
    /// Fragments without a byte that had not arrived before with the same value.
    pub duplicate: u64,
    /// Fragments of which some bytes had arrived before; the first copy counts.
    pub overlapping: u64,
    /// Datagrams of which a fragment has arrived.
    pub started: u64,
    /// Datagrams completed.
    pub completed: u64,
    /// Datagrams not completed in time.
    pub expired: u64,
    /// Datagrams evicted for newer ones.
    pub evicted: u64,
    /// Datagrams that are incomplete now.
    pub pending: u64,
    /// Payload bytes of well-formed fragments.
    pub bytes: u64,
    /// Payload bytes of completed datagrams.
    pub completed_bytes: u64,
    /// Payload bytes of expired datagrams.
    pub expired_bytes: u64,
    /// Payload bytes of evicted datagrams.
    pub evicted_bytes: u64,
    /// Payload bytes of duplicates.
    pub duplicate_bytes: u64,
    /// Payload bytes of overlapping fragments that had arrived before, with the same value or another.
    pub overlapped_bytes: u64,
    /// Payload bytes of fragments that contradict their datagram, or exceed a bound.
    pub refused_bytes: u64,
    /// Payload bytes that are buffered now.
    pub buffered_bytes: u64,
}

impl DefragStats {
    /// Adds the counters of another defragmenter.
    pub fn add(&mut self, other: &Self) {
        for (refused, others) in self.refused.iter_mut().zip(&other.refused) {
            *refused += others;
        }
        for (counter, (_, others)) in self.counters_mut().into_iter().zip(other.counters()) {
            *counter += others;
        }
    }

    /// Every counter by name, except [`refused`](Self::refused), which [`DefragError`] names.
    pub fn counters(&self) -> [(&'static str, u64); 16] {
        let mut copy = *self;
        let values = copy.counters_mut().map(|counter| *counter);
        let mut named = NAMES.map(|name| (name, 0));
        for ((_, to), value) in named.iter_mut().zip(values) {
            *to = value;
        }
        named
    }

    /// Whether every byte and every datagram is counted.
    pub fn balanced(&self) -> bool {
        let stored = self.buffered_bytes + self.completed_bytes + self.expired_bytes + self.evicted_bytes;
        let lost = self.duplicate_bytes + self.overlapped_bytes + self.refused_bytes;
        self.bytes == stored + lost && self.started == self.pending + self.completed + self.expired + self.evicted
    }

    pub(super) fn count_refused(&mut self, error: DefragError) {
        if let Some(counter) = self.refused.get_mut(error as usize) {
            *counter += 1;
        }
    }

    /// In the order of [`NAMES`].
    fn counters_mut(&mut self) -> [&mut u64; NAMES.len()] {
        [
            &mut self.fragments,
            &mut self.duplicate,
            &mut self.overlapping,
            &mut self.started,
            &mut self.completed,
            &mut self.expired,
            &mut self.evicted,
            &mut self.pending,
            &mut self.bytes,
            &mut self.completed_bytes,
            &mut self.expired_bytes,
            &mut self.evicted_bytes,
            &mut self.duplicate_bytes,
            &mut self.overlapped_bytes,
            &mut self.refused_bytes,
            &mut self.buffered_bytes,
        ]
    }
}

const NAMES: [&str; 16] = [
    "fragments",
    "duplicate",
    "overlapping",
    "started",
    "completed",
    "expired",
    "evicted",
    "pending",
    "bytes",
    "completed_bytes",
    "expired_bytes",
    "evicted_bytes",
    "duplicate_bytes",
    "overlapped_bytes",
    "refused_bytes",
    "buffered_bytes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_names_have_every_counter() {
        let mut one = DefragStats { refused: [3; DefragError::ALL.len()], ..DefragStats::default() };
        for (counter, value) in one.counters_mut().into_iter().zip(1..) {
            *counter = value;
        }
        // Fields of eight bytes, and no others.
        assert_eq!(size_of::<DefragStats>(), 8 * (NAMES.len() + DefragError::ALL.len()));
        let mut two = one;
        two.add(&one);
        assert_eq!(two.refused, [6; DefragError::ALL.len()]);
        let named = two.counters();
        assert!(named.iter().zip(1..).all(|((_, value), number)| *value == 2 * number), "{named:?}");
        assert_eq!((two.buffered_bytes, two.fragments), (32, 2));
        assert_eq!((named[0].0, named[15].0), ("fragments", "buffered_bytes"));
    }
}
