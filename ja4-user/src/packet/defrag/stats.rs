//! What a defragmenter counts.

use super::DefragError;

/// Counters of one defragmenter, or sums of them.
///
/// With payload bytes of all fragments but those refused for what they are themselves:
/// `bytes = held_bytes + completed_bytes + expired_bytes + evicted_bytes + duplicate_bytes +
/// overlapped_bytes + refused_bytes`. With datagrams: `begun = held + completed + expired + evicted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefragStats {
    /// Fragments given.
    pub fragments: u64,
    /// Fragments refused, by [`DefragError::ALL`].
    pub refused: [u64; DefragError::ALL.len()],
    /// Fragments of which every byte was known with the same value.
    pub duplicate: u64,
    /// Fragments of which some bytes were known; the first copy stayed.
    pub overlapping: u64,
    /// Datagrams of which a fragment came.
    pub begun: u64,
    /// Datagrams made whole.
    pub completed: u64,
    /// Datagrams that did not become whole in time.
    pub expired: u64,
    /// Datagrams that made room for newer ones.
    pub evicted: u64,
    /// Datagrams that wait now.
    pub held: u64,
    /// Payload bytes of fragments that could be of use.
    pub bytes: u64,
    /// Those in datagrams made whole.
    pub completed_bytes: u64,
    /// Those in datagrams that did not become whole in time.
    pub expired_bytes: u64,
    /// Those in datagrams that made room.
    pub evicted_bytes: u64,
    /// Those of duplicates.
    pub duplicate_bytes: u64,
    /// Those of overlapping fragments that were known, with the same value or another.
    pub overlapped_bytes: u64,
    /// Those of fragments that did not fit their datagram, or a bound.
    pub refused_bytes: u64,
    /// Those that wait now.
    pub held_bytes: u64,
}

impl DefragStats {
    /// Adds another defragmenter's.
    pub fn add(&mut self, other: &Self) {
        for (refused, others) in self.refused.iter_mut().zip(&other.refused) {
            *refused += others;
        }
        for (counter, (_, others)) in self.counters_mut().into_iter().zip(other.counters()) {
            *counter += others;
        }
    }

    /// Every counter by name, but for [`refused`](Self::refused), whose names are those of [`DefragError`].
    pub fn counters(&self) -> [(&'static str, u64); 16] {
        let mut copy = *self;
        let values = copy.counters_mut().map(|counter| *counter);
        let mut named = NAMES.map(|name| (name, 0));
        for ((_, to), value) in named.iter_mut().zip(values) {
            *to = value;
        }
        named
    }

    /// No byte and no datagram goes uncounted.
    pub fn balanced(&self) -> bool {
        let kept = self.held_bytes + self.completed_bytes + self.expired_bytes + self.evicted_bytes;
        let lost = self.duplicate_bytes + self.overlapped_bytes + self.refused_bytes;
        self.bytes == kept + lost && self.begun == self.held + self.completed + self.expired + self.evicted
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
            &mut self.begun,
            &mut self.completed,
            &mut self.expired,
            &mut self.evicted,
            &mut self.held,
            &mut self.bytes,
            &mut self.completed_bytes,
            &mut self.expired_bytes,
            &mut self.evicted_bytes,
            &mut self.duplicate_bytes,
            &mut self.overlapped_bytes,
            &mut self.refused_bytes,
            &mut self.held_bytes,
        ]
    }
}

const NAMES: [&str; 16] = [
    "fragments",
    "duplicate",
    "overlapping",
    "begun",
    "completed",
    "expired",
    "evicted",
    "held",
    "bytes",
    "completed_bytes",
    "expired_bytes",
    "evicted_bytes",
    "duplicate_bytes",
    "overlapped_bytes",
    "refused_bytes",
    "held_bytes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_names_leave_nothing_out() {
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
        assert_eq!((two.held_bytes, two.fragments), (32, 2));
        assert_eq!((named[0].0, named[15].0), ("fragments", "held_bytes"));
    }
}
