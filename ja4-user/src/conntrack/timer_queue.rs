//! Timers of connections, in order of time.

use std::collections::VecDeque;

use ja4_common::flow::FlowKey;

use crate::model::Time;

/// The time of a timer, and the connection that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowTimer {
    /// When it is due.
    pub time: Time,
    /// Hash of the flow.
    pub hash: u64,
    /// Key of the flow.
    pub key: FlowKey,
}

/// A bounded queue of timers that all run for the same duration: the first that starts is the first that is due.
///
/// A timer is not cancelled. The receiver checks whether its connection still exists and is still in the same state.
#[derive(Debug)]
pub(crate) struct TimerQueue {
    timers: VecDeque<FlowTimer>,
    max: usize,
}

impl TimerQueue {
    /// An empty queue of at most `max` timers.
    pub(crate) fn new(max: usize) -> Self {
        Self { timers: VecDeque::new(), max }
    }

    /// Starts a timer. Returns false if the queue is full: then the connection is handled when it becomes idle.
    pub(crate) fn start(&mut self, timer: FlowTimer) -> bool {
        let fits = self.timers.len() < self.max;
        if fits {
            self.timers.push_back(timer);
        }
        fits
    }

    /// Removes the first timer.
    pub(crate) fn pop(&mut self) -> Option<FlowTimer> {
        self.timers.pop_front()
    }

    /// Removes the first timer if it is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<FlowTimer> {
        self.timers.pop_front_if(|timer| timer.time <= now)
    }

    /// If the queue is more than half full, keeps only the timers for which `keep` returns true.
    pub(crate) fn compact(&mut self, keep: impl FnMut(&FlowTimer) -> bool) {
        if self.timers.len() > self.max / 2 {
            self.timers.retain(keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(time: u64) -> FlowTimer {
        FlowTimer { time: Time(time), hash: time, key: FlowKey::default() }
    }

    #[test]
    fn timers_are_due_in_order_and_their_number_is_bounded() {
        let mut queue = TimerQueue::new(3);
        let started = [1, 2, 3, 4].map(|time| queue.start(timer(time)));
        assert_eq!(started, [true, true, true, false]);
        assert_eq!((queue.pop_due(Time(0)), queue.pop_due(Time(1))), (None, Some(timer(1))));
        queue.compact(|timer| timer.hash == 3);
        assert_eq!((queue.pop(), queue.pop()), (Some(timer(3)), None));
    }

    #[test]
    fn a_queue_that_is_at_most_half_full_is_not_compacted() {
        let mut queue = TimerQueue::new(2);
        queue.start(timer(1));
        queue.compact(|_| false);
        assert_eq!(queue.pop(), Some(timer(1)));
    }
}
