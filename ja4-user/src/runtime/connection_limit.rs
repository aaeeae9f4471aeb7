//! The bound on the connections of all lanes together.
//!
//! A lane does not know how many connections the other lanes have. So the threads compare their counts every
//! [`INTERVAL`] packets: at such a boundary every thread has read the same packets, and the least recently used
//! connections of all lanes are evicted until the bound holds. Which are evicted depends on the packets alone.
//!
//! Between two boundaries the number grows by at most [`GROWTH`]. A thread waits for the others only where the bound
//! may be exceeded at its boundary: far below the bound the threads run freely.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::Time;

/// Packets between two boundaries: so many that the threads' synchronization costs little when the table is full, and
/// so few that the connections they open take little memory.
pub(super) const INTERVAL: u64 = 4096;

/// Most connections that the packets of an interval can open: one each, and another in the datagram that it completes
/// as a fragment.
pub(super) const GROWTH: usize = 2 * INTERVAL as usize;

/// How many connections each lane has to evict.
pub(super) type Shares = Arc<[usize]>;

/// The least recently used connections: time of the last packet, and lane.
pub(super) type Candidates = Vec<(Time, u32)>;

/// Compares the numbers of connections at boundaries, which are numbered from 1.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    threads: usize,
    lanes: usize,
    max: usize,
    state: Mutex<Boundaries>,
    changed: Condvar,
}

#[derive(Debug)]
struct Boundaries {
    /// Boundaries that some thread has not reached; the first has the number `first`.
    open: VecDeque<BoundaryCount>,
    first: u64,
    /// Connections at the last boundary that every thread has reached.
    total: usize,
    /// The last boundary at which the bound cannot be exceeded.
    holds_until: u64,
    /// The threads' proposals at the current boundary.
    candidates: Vec<Candidates>,
    /// The last choice, and its boundary.
    chosen: (u64, Shares),
}

/// The threads' counts at a boundary.
#[derive(Clone, Copy, Debug, Default)]
struct BoundaryCount {
    threads: usize,
    connections: usize,
}

impl ConnectionLimit {
    /// Creates a bound of `max` connections in `lanes` lanes, which the threads share.
    pub(super) fn new(threads: usize, lanes: usize, max: usize) -> Self {
        let state = Boundaries {
            open: VecDeque::new(),
            first: 1,
            total: 0,
            holds_until: (max / GROWTH) as u64,
            candidates: Vec::new(),
            chosen: (0, Arc::default()),
        };
        Self { threads, lanes, max, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds the count of a thread that has reached a boundary. Returns the number of connections above the bound in all
    /// lanes. Each thread calls this once per boundary, in order.
    pub(super) fn excess(&self, boundary: u64, connections: usize) -> usize {
        let mut state = self.state();
        let index = boundary.saturating_sub(state.first) as usize;
        if state.open.len() <= index {
            state.open.resize(index + 1, BoundaryCount::default());
        }
        if let Some(count) = state.open.get_mut(index) {
            count.threads += 1;
            count.connections += connections;
        }
        while let Some(count) = state.open.pop_front_if(|count| count.threads == self.threads) {
            state.total = count.connections;
            let spare = self.max.saturating_sub(count.connections);
            state.holds_until = state.first + (spare / GROWTH) as u64;
            state.first += 1;
            self.changed.notify_all();
        }
        loop {
            if boundary < state.first {
                // A later boundary is complete only once this thread has reached it.
                return if boundary + 1 == state.first { state.total.saturating_sub(self.max) } else { 0 };
            }
            if boundary <= state.holds_until {
                return 0;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Chooses the connections to evict: the least recently used of all proposals. Each thread proposes `excess`
    /// connections, or all of its connections, the least recently used first.
    pub(super) fn choose(&self, boundary: u64, excess: usize, candidates: Candidates) -> Shares {
        let mut state = self.state();
        state.candidates.push(candidates);
        if state.candidates.len() == self.threads {
            let proposed = std::mem::take(&mut state.candidates);
            let mut shares = vec![0; self.lanes];
            for (_, lane) in least_recent(proposed.into_iter().map(Vec::into_iter), excess) {
                if let Some(share) = shares.get_mut(lane as usize) {
                    *share += 1;
                }
            }
            state.chosen = (boundary, shares.into());
            self.changed.notify_all();
        }
        while state.chosen.0 != boundary {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Arc::clone(&state.chosen.1)
    }

    fn state(&self) -> MutexGuard<'_, Boundaries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first `most` of several sequences, each in order of use. The result is the same whether all lanes are merged at
/// once, or first those of each thread.
pub(super) fn least_recent(
    sequences: impl IntoIterator<Item = impl Iterator<Item = (Time, u32)>>,
    most: usize,
) -> Candidates {
    let mut sequences: Vec<_> = sequences.into_iter().collect();
    let mut heads = BinaryHeap::with_capacity(sequences.len());
    for (index, sequence) in sequences.iter_mut().enumerate() {
        heads.extend(sequence.next().map(|head| Reverse((head, index))));
    }
    let mut first = Vec::new();
    while first.len() < most
        && let Some(Reverse((head, index))) = heads.pop()
    {
        first.push(head);
        let next = sequences.get_mut(index).and_then(Iterator::next);
        heads.extend(next.map(|head| Reverse((head, index))));
    }
    first
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_bound_covers_all_threads() {
        let limit = ConnectionLimit::new(2, 4, 10);
        let counts = [[3, 7], [9, 1], [10, 3], [8, 4]];
        let excess: Vec<Vec<_>> = thread::scope(|scope| {
            let limit = &limit;
            let reach = |thread: usize| {
                move || -> Vec<_> { (1..).zip(counts).map(|(at, counts)| limit.excess(at, counts[thread])).collect() }
            };
            let threads = [0, 1].map(|thread| scope.spawn(reach(thread)));
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        assert_eq!(excess, [[0, 0, 3, 2], [0, 0, 3, 2]]);
    }

    #[test]
    fn no_thread_waits_while_the_bound_cannot_be_exceeded() {
        let limit = ConnectionLimit::new(2, 4, 3 * GROWTH);
        // The other thread has not started; from zero, three intervals cannot exceed the bound.
        for boundary in 1..=3 {
            assert_eq!(limit.excess(boundary, GROWTH), 0);
        }
        // It reaches the first boundary: two more intervals cannot exceed the bound.
        assert_eq!(limit.excess(1, 0), 0);
        assert_eq!(limit.state().holds_until, 3);
    }

    #[test]
    fn the_least_recently_used_of_all_lanes_are_evicted() {
        let limit = ConnectionLimit::new(2, 4, 0);
        let at = |time, lane| (Time(time), lane);
        let shares: Vec<_> = thread::scope(|scope| {
            let even = scope.spawn(|| limit.choose(1, 4, vec![at(1, 0), at(2, 2), at(3, 0), at(9, 2)]));
            let odd = scope.spawn(|| limit.choose(1, 4, vec![at(2, 1), at(3, 3), at(4, 1)]));
            [even, odd].into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for shares in shares {
            assert_eq!(*shares, [2, 1, 1, 0], "of two that are equally old, the one of the first lane");
        }
    }

    #[test]
    fn lanes_are_merged_in_the_same_order_by_one_thread_and_by_several() {
        let lanes: Vec<Candidates> = vec![
            vec![(Time(5), 0), (Time(1), 0), (Time(7), 0)],
            vec![(Time(2), 1), (Time(6), 1)],
            vec![(Time(5), 2), (Time(5), 2)],
        ];
        let sequences = |of: &[usize]| of.iter().map(|&lane| lanes[lane].clone().into_iter()).collect::<Vec<_>>();
        for most in 0..8 {
            let at_once = least_recent(sequences(&[0, 1, 2]), most);
            let by_threads = [least_recent(sequences(&[0, 2]), most), least_recent(sequences(&[1]), most)];
            assert_eq!(least_recent(by_threads.map(Vec::into_iter), most), at_once, "{most}");
        }
    }
}
