//! Counting within the window of one group, in bounded memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::definition::{RuleMeasure, WindowMode};

/// The window of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowSpec {
    /// The length, nanoseconds, at least 1.
    pub(super) length: u64,
    /// The kind of window.
    pub(super) mode: WindowMode,
    /// Whether different keys are counted, not events.
    pub(super) distinct: bool,
    /// The least measure that fires, at least 1. A window stores no more than that.
    pub(super) needed: usize,
}

impl WindowSpec {
    pub(super) fn new(window: Duration, mode: WindowMode, measure: RuleMeasure, needed: u32) -> Self {
        Self {
            length: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1),
            mode,
            distinct: measure != RuleMeasure::Count,
            needed: needed.max(1) as usize,
        }
    }
}

/// The measure of a window after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WindowMeasure {
    /// Below the threshold.
    Below,
    /// This number.
    Exactly(u64),
    /// This number or more; the window does not store what it does not need.
    AtLeast(u64),
}

/// The window of one group. Times do not go back.
///
/// A sliding window covers `(t - length, t]` at an event at `t`. A tumbling one begins at the last multiple of `length`.
#[derive(Debug)]
pub(super) enum GroupWindow {
    /// Times of the newest `needed` events.
    Times(VecDeque<u64>),
    /// The `needed` keys seen last, with the time of each; in no order.
    /// `left_out`: the newest time of an evicted key.
    Keys { keys: Vec<u64>, times: Vec<u64>, left_out: Option<u64> },
    /// Events of the window of this number.
    Tumbling { number: u64, count: u64 },
    /// The first `needed` keys of the window of this number.
    TumblingKeys { number: u64, keys: Vec<u64>, left_out: bool },
}

impl GroupWindow {
    pub(super) fn new(shape: &WindowSpec) -> Self {
        match (shape.mode, shape.distinct) {
            (WindowMode::Sliding, false) => Self::Times(VecDeque::new()),
            (WindowMode::Sliding, true) => Self::Keys { keys: Vec::new(), times: Vec::new(), left_out: None },
            (WindowMode::Tumbling, false) => Self::Tumbling { number: 0, count: 0 },
            (WindowMode::Tumbling, true) => Self::TumblingKeys { number: 0, keys: Vec::new(), left_out: false },
        }
    }

    /// Heap memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        let words = match self {
            Self::Times(times) => times.capacity(),
            Self::Keys { keys, times, .. } => keys.capacity() + times.capacity(),
            Self::Tumbling { .. } => 0,
            Self::TumblingKeys { keys, .. } => keys.capacity(),
        };
        words * size_of::<u64>()
    }

    /// Counts an event. `time` is not before that of the last event; `key` is used if different keys are counted.
    pub(super) fn add(&mut self, shape: &WindowSpec, time: u64, key: u64) -> WindowMeasure {
        // Events at or before this time are outside the window.
        let out = time.checked_sub(shape.length);
        let gone = |seen: u64| out.is_some_and(|out| seen <= out);
        match self {
            Self::Times(times) => {
                while times.front().is_some_and(|oldest| gone(*oldest)) {
                    times.pop_front();
                }
                let full = times.len() >= shape.needed;
                if full {
                    times.pop_front();
                }
                if times.capacity() > MIN_CAPACITY && times.len() * 4 < times.capacity() {
                    times.shrink_to((times.len() * 2).max(MIN_CAPACITY));
                }
                times.push_back(time);
                measured(times.len(), full, shape)
            }
            Self::Keys { keys, times, left_out } => {
                if let Some(at) = keys.iter().position(|known| *known == key) {
                    if let Some(seen) = times.get_mut(at) {
                        *seen = time;
                    }
                } else {
                    if keys.len() >= shape.needed {
                        remove_old(keys, times, gone);
                    }
                    if keys.len() >= shape.needed {
                        // All are within the window: evict the oldest.
                        let oldest = times.iter().enumerate().min_by_key(|(_, seen)| **seen).map_or(0, |(at, _)| at);
                        if let (Some(known), Some(seen)) = (keys.get_mut(oldest), times.get_mut(oldest)) {
                            *left_out = Some(*seen);
                            (*known, *seen) = (key, time);
                        }
                    } else {
                        keys.push(key);
                        times.push(time);
                    }
                }
                if keys.len() >= shape.needed {
                    remove_old(keys, times, gone);
                }
                measured(keys.len(), left_out.is_some_and(|seen| !gone(seen)), shape)
            }
            Self::Tumbling { number, count } => {
                let current = time / shape.length;
                if *number != current {
                    (*number, *count) = (current, 0);
                }
                *count += 1;
                if *count >= shape.needed as u64 { WindowMeasure::Exactly(*count) } else { WindowMeasure::Below }
            }
            Self::TumblingKeys { number, keys, left_out } => {
                let current = time / shape.length;
                if *number != current {
                    (*number, *left_out) = (current, false);
                    keys.clear();
                    keys.shrink_to(MIN_CAPACITY);
                }
                if !keys.contains(&key) {
                    if keys.len() < shape.needed {
                        keys.push(key);
                    } else {
                        *left_out = true;
                    }
                }
                measured(keys.len(), *left_out, shape)
            }
        }
    }
}

/// Capacity for times or keys that is never released, so that a group with few events does not allocate for each.
const MIN_CAPACITY: usize = 8;

/// `len` were counted, and more if `more`.
fn measured(len: usize, more: bool, shape: &WindowSpec) -> WindowMeasure {
    match len >= shape.needed {
        false => WindowMeasure::Below,
        true if more => WindowMeasure::AtLeast(len as u64),
        true => WindowMeasure::Exactly(len as u64),
    }
}

/// Removes keys that were last seen before the window.
fn remove_old(keys: &mut Vec<u64>, times: &mut Vec<u64>, gone: impl Fn(u64) -> bool) {
    let mut at = 0;
    while let Some(seen) = times.get(at) {
        if gone(*seen) {
            times.swap_remove(at);
            keys.swap_remove(at);
        } else {
            at += 1;
        }
    }
    if times.capacity() > MIN_CAPACITY && times.len() * 4 < times.capacity() {
        let room = (times.len() * 2).max(MIN_CAPACITY);
        times.shrink_to(room);
        keys.shrink_to(room);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Every event so far.
    #[derive(Default)]
    struct Naive(Vec<(u64, u64)>);

    impl Naive {
        /// The measure of the window of an event at `time`.
        fn measure(&self, shape: &WindowSpec, time: u64) -> u64 {
            let within = |seen: u64| match shape.mode {
                WindowMode::Sliding => seen + shape.length > time,
                WindowMode::Tumbling => seen / shape.length == time / shape.length,
            };
            let events = self.0.iter().filter(|(seen, _)| within(*seen));
            if shape.distinct {
                events.map(|(_, key)| *key).collect::<HashSet<_>>().len() as u64
            } else {
                events.count() as u64
            }
        }
    }

    fn shape() -> impl Strategy<Value = WindowSpec> {
        (1u64..40, any::<bool>(), any::<bool>(), 1usize..12).prop_map(|(length, sliding, distinct, needed)| {
            WindowSpec {
                length,
                mode: if sliding { WindowMode::Sliding } else { WindowMode::Tumbling },
                distinct,
                needed,
            }
        })
    }

    proptest! {
        #[test]
        fn a_window_fires_like_one_that_stores_everything(
            shape in shape(),
            events in prop::collection::vec((0u64..12, 0u64..16), 0..300),
        ) {
            let (mut window, mut naive, mut time) = (GroupWindow::new(&shape), Naive::default(), 0);
            for (step, key) in events {
                time += step;
                naive.0.push((time, key));
                let truth = naive.measure(&shape, time);
                match window.add(&shape, time, key) {
                    WindowMeasure::Below => prop_assert!(truth < shape.needed as u64, "{truth}"),
                    WindowMeasure::Exactly(measured) => prop_assert_eq!(measured, truth),
                    WindowMeasure::AtLeast(measured) => prop_assert!(measured <= truth && measured >= shape.needed as u64),
                }
            }
        }

        #[test]
        fn a_window_stores_no_more_than_it_needs(
            shape in shape(),
            events in prop::collection::vec((0u64..3, any::<u64>()), 0..300),
        ) {
            let (mut window, mut time) = (GroupWindow::new(&shape), 0);
            for (step, key) in events {
                time += step;
                window.add(&shape, time, key);
                // Vectors double their capacity.
                prop_assert!(window.bytes() <= 2 * 8 * (2 * shape.needed).max(MIN_CAPACITY), "{window:?}");
            }
        }
    }

    #[test]
    fn an_event_one_length_ago_is_outside_the_window() {
        let shape = WindowSpec { length: 10, mode: WindowMode::Sliding, distinct: false, needed: 2 };
        let mut window = GroupWindow::new(&shape);
        assert_eq!(window.add(&shape, 100, 0), WindowMeasure::Below);
        assert_eq!(window.add(&shape, 110, 0), WindowMeasure::Below);
        assert_eq!(window.add(&shape, 119, 0), WindowMeasure::Exactly(2));
        assert_eq!(window.add(&shape, 119, 0), WindowMeasure::AtLeast(2));
    }

    #[test]
    fn memory_of_a_burst_is_released() {
        let shape = WindowSpec { length: 10, mode: WindowMode::Sliding, distinct: false, needed: 10_000 };
        let mut window = GroupWindow::new(&shape);
        for _ in 0..9_000 {
            window.add(&shape, 1, 0);
        }
        assert!(window.bytes() >= 72_000);
        window.add(&shape, 100, 0);
        assert!(window.bytes() <= 64, "{}", window.bytes());
    }
}
