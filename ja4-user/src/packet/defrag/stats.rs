//! The counters of defragmentation.

use super::error::DefragError;
use crate::model::counter_set;

counter_set! {
    /// Counters of one defragmenter, or sums of them.
    ///
    /// For the payload bytes of all well-formed fragments:
    /// `bytes = buffered_bytes + completed_bytes + expired_bytes + evicted_bytes + duplicate_bytes + overlapped_bytes +
    /// refused_bytes`. For datagrams: `started = pending + completed + expired + evicted`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DefragStats as fragments: AddCounters {
        /// IP fragments received.
        counter fragments as fragments,
        /// Fragments refused, by [`DefragError::ALL`].
        hidden refused: [u64; DefragError::ALL.len()],
        /// Fragments without new bytes.
        ///
        /// Every byte had arrived before with the same value.
        counter duplicate,
        /// Fragments that overlap earlier ones.
        ///
        /// The first copy of a byte counts.
        counter overlapping,
        /// Datagrams with at least one fragment.
        counter started as fragments_datagrams_started,
        /// Datagrams reassembled.
        counter completed as fragments_datagrams_completed,
        /// Datagrams that expired before they were complete.
        counter expired as fragments_datagrams_expired,
        /// Incomplete datagrams evicted for newer ones.
        counter evicted as fragments_datagrams_evicted,
        /// Incomplete datagrams.
        gauge pending as fragments_datagrams_pending,
        /// Payload bytes of accepted fragments.
        counter bytes,
        /// Fragment bytes in reassembled datagrams.
        counter completed_bytes,
        /// Fragment bytes in expired datagrams.
        counter expired_bytes,
        /// Fragment bytes in evicted datagrams.
        counter evicted_bytes,
        /// Fragment bytes of duplicates.
        counter duplicate_bytes,
        /// Fragment bytes that overlap earlier ones.
        ///
        /// With the same value or another.
        counter overlapped_bytes,
        /// Fragment bytes of rejected fragments.
        ///
        /// The fragments contradict their datagram, or exceed a bound.
        counter refused_bytes,
        /// Fragment bytes in incomplete datagrams.
        gauge buffered_bytes,
    }
}

impl DefragStats {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AddCounters, CounterSet, CounterValue};

    #[test]
    fn sums_and_names_have_every_counter() {
        let one = DefragStats {
            fragments: 1,
            refused: [3; DefragError::ALL.len()],
            duplicate: 2,
            overlapping: 3,
            started: 4,
            completed: 5,
            expired: 6,
            evicted: 7,
            pending: 8,
            bytes: 9,
            completed_bytes: 10,
            expired_bytes: 11,
            evicted_bytes: 12,
            duplicate_bytes: 13,
            overlapped_bytes: 14,
            refused_bytes: 15,
            buffered_bytes: 16,
        };
        let mut two = one;
        two.add(&one);
        assert_eq!(two.refused, [6; DefragError::ALL.len()]);
        let named = two.group().0;
        // Fields of eight bytes, and no others.
        assert_eq!(size_of::<DefragStats>(), 8 * (named.len() + DefragError::ALL.len()));
        let doubled = |(number, (_, value)): (u64, &(_, _))| *value == CounterValue::Count(2 * number);
        assert!((1..).zip(&named).all(doubled), "{named:?}");
        assert_eq!((two.buffered_bytes, two.fragments), (32, 2));
        assert_eq!((&*named[0].0, &*named[15].0), ("fragments", "buffered_bytes"));
    }
}
