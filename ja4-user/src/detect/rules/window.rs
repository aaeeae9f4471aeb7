//! Counting within a window: of one group, in bounded memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Measure, Mode};

/// How a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Length of a window, nanoseconds, at least 1.
    pub(super) length: u64,
    /// How windows lie.
    pub(super) mode: Mode,
    /// Whether different keys are counted, or events.
    pub(super) distinct: bool,
    /// The least measure that fires, at least 1. A window remembers no more than that.
    pub(super) needed: usize,
}

impl Shape {
    pub(super) fn new(window: Duration, mode: Mode, measure: Measure, needed: u32) -> Self {
        Self {
            length: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1),
            mode,
            distinct: measure != Measure::Count,
            needed: needed.max(1) as usize,
        }
    }
}

/// What a window holds after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// Too little to fire.
    Below,
    /// Enough: this much.
    Exactly(u64),
    /// Enough: this much or more; the window does not remember what it does not need.
    AtLeast(u64),
}

/// The window of one group. Times do not go back.
///
/// Sliding, an event at `t` sees what came in `(t - length, t]`. Tumbling, it sees what came since the last
/// multiple of `length`, itself included.
#[derive(Debug)]
pub(super) enum Window {
    /// Times of the newest `needed` events.
    Times(VecDeque<u64>),
    /// The `needed` keys seen last, with the time of each; in no order.
    /// `left_out`: the newest time of a key that had no room.
    Keys { keys: Vec<u64>, times: Vec<u64>, left_out: Option<u64> },
    /// Events of the window of this number.
    Tumbling { number: u64, count: u64 },
    /// The first `needed` keys of the window of this number.
    TumblingKeys { number: u64, keys: Vec<u64>, left_out: bool },
}

impl Window {
    pub(super) fn new(shape: &Shape) -> Self {
        match (shape.mode, shape.distinct) {
            (Mode::Sliding, false) => Self::Times(VecDeque::new()),
            (Mode::Sliding, true) => Self::Keys { keys: Vec::new(), times: Vec::new(), left_out: None },
            (Mode::Tumbling, false) => Self::Tumbling { number: 0, count: 0 },
            (Mode::Tumbling, true) => Self::TumblingKeys { number: 0, keys: Vec::new(), left_out: false },
        }
    }

    /// Bytes beside the window itself.
    pub(super) fn bytes(&self) -> usize {
        let words = match self {
            Self::Times(times) => times.capacity(),
            Self::Keys { keys, times, .. } => keys.capacity() + times.capacity(),
            Self::Tumbling { .. } => 0,
            Self::TumblingKeys { keys, .. } => keys.capacity(),
        };
        words * size_of::<u64>()
    }

    /// Takes an event in. `time` is not before that of the one before; `key` matters where different keys
    /// are counted.
    pub(super) fn add(&mut self, shape: &Shape, time: u64, key: u64) -> Measured {
        // What is not newer than this is out.
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
                if times.capacity() > KEPT_ROOM && times.len() * 4 < times.capacity() {
                    times.shrink_to((times.len() * 2).max(KEPT_ROOM));
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
                        forget(keys, times, gone);
                    }
                    if keys.len() >= shape.needed {
                        // All are within the window, and there is one more.
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
                    forget(keys, times, gone);
                }
                measured(keys.len(), left_out.is_some_and(|seen| !gone(seen)), shape)
            }
            Self::Tumbling { number, count } => {
                let current = time / shape.length;
                if *number != current {
                    (*number, *count) = (current, 0);
                }
                *count += 1;
                if *count >= shape.needed as u64 { Measured::Exactly(*count) } else { Measured::Below }
            }
            Self::TumblingKeys { number, keys, left_out } => {
                let current = time / shape.length;
                if *number != current {
                    (*number, *left_out) = (current, false);
                    keys.clear();
                    keys.shrink_to(KEPT_ROOM);
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

/// Room for times or keys that is never given back: a group that sees one event now and then does not
/// allocate for each.
const KEPT_ROOM: usize = 8;

/// `len` were counted, and perhaps more.
fn measured(len: usize, more: bool, shape: &Shape) -> Measured {
    match len >= shape.needed {
        false => Measured::Below,
        true if more => Measured::AtLeast(len as u64),
        true => Measured::Exactly(len as u64),
    }
}

/// Forgets keys that were seen last before the window.
fn forget(keys: &mut Vec<u64>, times: &mut Vec<u64>, gone: impl Fn(u64) -> bool) {
    let mut at = 0;
    while let Some(seen) = times.get(at) {
        if gone(*seen) {
            times.swap_remove(at);
            keys.swap_remove(at);
        } else {
            at += 1;
        }
    }
    if times.capacity() > KEPT_ROOM && times.len() * 4 < times.capacity() {
        let room = (times.len() * 2).max(KEPT_ROOM);
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
        /// What the window that an event at `time` looks at holds.
        fn measure(&self, shape: &Shape, time: u64) -> u64 {
            let within = |seen: u64| match shape.mode {
                Mode::Sliding => seen + shape.length > time,
                Mode::Tumbling => seen / shape.length == time / shape.length,
            };
            let events = self.0.iter().filter(|(seen, _)| within(*seen));
            if shape.distinct {
                events.map(|(_, key)| *key).collect::<HashSet<_>>().len() as u64
            } else {
                events.count() as u64
            }
        }
    }

    fn shape() -> impl Strategy<Value = Shape> {
        (1u64..40, any::<bool>(), any::<bool>(), 1usize..12).prop_map(|(length, sliding, distinct, needed)| Shape {
            length,
            mode: if sliding { Mode::Sliding } else { Mode::Tumbling },
            distinct,
            needed,
        })
    }

    proptest! {
        #[test]
        fn a_window_fires_when_one_that_keeps_everything_does(
            shape in shape(),
            events in prop::collection::vec((0u64..12, 0u64..16), 0..300),
        ) {
            let (mut window, mut naive, mut time) = (Window::new(&shape), Naive::default(), 0);
            for (step, key) in events {
                time += step;
                naive.0.push((time, key));
                let truth = naive.measure(&shape, time);
                match window.add(&shape, time, key) {
                    Measured::Below => prop_assert!(truth < shape.needed as u64, "{truth}"),
                    Measured::Exactly(measured) => prop_assert_eq!(measured, truth),
                    Measured::AtLeast(measured) => prop_assert!(measured <= truth && measured >= shape.needed as u64),
                }
            }
        }

        #[test]
        fn a_window_remembers_no_more_than_it_needs(
            shape in shape(),
            events in prop::collection::vec((0u64..3, any::<u64>()), 0..300),
        ) {
            let (mut window, mut time) = (Window::new(&shape), 0);
            for (step, key) in events {
                time += step;
                window.add(&shape, time, key);
                // Vectors double: twice what is needed, and at least what is kept.
                prop_assert!(window.bytes() <= 2 * 8 * (2 * shape.needed).max(KEPT_ROOM), "{window:?}");
            }
        }
    }

    #[test]
    fn a_window_ends_before_what_lies_its_length_back() {
        let shape = Shape { length: 10, mode: Mode::Sliding, distinct: false, needed: 2 };
        let mut window = Window::new(&shape);
        assert_eq!(window.add(&shape, 100, 0), Measured::Below);
        assert_eq!(window.add(&shape, 110, 0), Measured::Below);
        assert_eq!(window.add(&shape, 119, 0), Measured::Exactly(2));
        assert_eq!(window.add(&shape, 119, 0), Measured::AtLeast(2));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let shape = Shape { length: 10, mode: Mode::Sliding, distinct: false, needed: 10_000 };
        let mut window = Window::new(&shape);
        for _ in 0..9_000 {
            window.add(&shape, 1, 0);
        }
        assert!(window.bytes() >= 72_000);
        window.add(&shape, 100, 0);
        assert!(window.bytes() <= 64, "{}", window.bytes());
    }
}
