//! The groups of one rule: a window each, and when it may fire again.

use std::hash::{BuildHasherDefault, Hasher};

use hashlink::LinkedHashMap;

use super::window::{Measured, Shape, Window};
use crate::detect::OUT_OF_STEP;

/// What all windows may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Groups of one rule.
    pub groups: usize,
    /// Bytes of all groups of all rules.
    pub bytes: usize,
}

/// A /16 of sources each of which is a group, and 64 MiB.
impl Default for Bounds {
    fn default() -> Self {
        Self { groups: 65_536, bytes: 64 * 1024 * 1024 }
    }
}

/// What a group costs beside its window's memory: key, links of the list, a slot of the index.
const GROUP_BYTES: usize = size_of::<(u64, Group)>() + 2 * size_of::<usize>() + 2 * (size_of::<usize>() + 1);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Too little to fire.
    Below,
    /// It came later than a window after others of its group: not counted.
    Late,
    /// It fires; the group was not quiet.
    Fires { measured: Measured, suppressed: u64 },
    /// It would fire, but the group is quiet.
    Quiet,
}

/// Groups in order of use, by a hash of what they have in common.
#[derive(Debug, Default)]
pub(super) struct Groups {
    map: LinkedHashMap<u64, Group, BuildHasherDefault<Hashed>>,
    bytes: usize,
    /// Groups that had to go while their window or their quiet time lasted.
    evicted: u64,
    /// Groups that began anew as the clock was set back.
    restarted: u64,
}

#[derive(Debug)]
struct Group {
    window: Window,
    newest: u64,
    quiet_until: u64,
    suppressed: u64,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn restarted(&self) -> u64 {
        self.restarted
    }

    /// Takes an event of a group in.
    ///
    /// Shards are not in step. An event that comes after a newer one of its group counts at that one's time,
    /// so the window is too long or too short by as much as the event is late. What is late by a window or
    /// more does not count. What is late by [`OUT_OF_STEP`] on top is not late: the clock was set back, or the newest
    /// time was a wrong one, and the group begins anew, or it would be deaf until that time comes again.
    pub(super) fn add(&mut self, shape: &Shape, cooldown: u64, most: usize, key: u64, event: (u64, u64)) -> Outcome {
        let (time, what) = event;
        if !self.map.contains_key(&key) {
            self.make_room(shape, time, most);
            let window = Window::new(shape);
            self.map.insert(key, Group { window, newest: 0, quiet_until: 0, suppressed: 0 });
            self.bytes += GROUP_BYTES;
        }
        let Some(group) = self.map.to_back(&key) else {
            return Outcome::Below;
        };
        let before = group.window.bytes();
        if group.is_ahead(shape, time) {
            // What was kept back is told with the next alert.
            *group = Group { window: Window::new(shape), newest: time, quiet_until: 0, suppressed: group.suppressed };
            self.restarted += 1;
        }
        if time.saturating_add(shape.length) <= group.newest {
            return Outcome::Late;
        }
        group.newest = group.newest.max(time);
        let measured = group.window.add(shape, group.newest, what);
        self.bytes = (self.bytes + group.window.bytes()).saturating_sub(before);
        if measured == Measured::Below {
            return Outcome::Below;
        }
        if group.newest < group.quiet_until {
            group.suppressed += 1;
            return Outcome::Quiet;
        }
        group.quiet_until = group.newest.saturating_add(cooldown);
        Outcome::Fires { measured, suppressed: std::mem::take(&mut group.suppressed) }
    }

    /// Takes the group out that was used longest ago. `false`: there is none.
    pub(super) fn evict(&mut self, shape: &Shape, time: u64) -> bool {
        let Some((_, group)) = self.map.pop_front() else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(GROUP_BYTES + group.window.bytes());
        self.evicted += u64::from(group.matters(shape, time));
        true
    }

    /// Room for one more group. Two that no longer matter go for each that comes, so that memory follows
    /// what is going on.
    fn make_room(&mut self, shape: &Shape, time: u64, most: usize) {
        for _ in 0..2 {
            if self.map.front().is_some_and(|(_, oldest)| !oldest.matters(shape, time)) {
                self.evict(shape, time);
            }
        }
        while self.map.len() >= most.max(1) && self.evict(shape, time) {}
    }
}

impl Group {
    /// Whether its window or its quiet time lasts.
    fn matters(&self, shape: &Shape, time: u64) -> bool {
        let lasts = self.newest.saturating_add(shape.length) > time || self.quiet_until > time;
        lasts && !self.is_ahead(shape, time)
    }

    /// Whether it has seen a time that this one cannot just be late against.
    fn is_ahead(&self, shape: &Shape, time: u64) -> bool {
        time.saturating_add(shape.length).saturating_add(OUT_OF_STEP) <= self.newest
    }
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::rules::Mode;

    const SHAPE: Shape = Shape { length: 100, mode: Mode::Sliding, distinct: false, needed: 3 };

    fn add(groups: &mut Groups, key: u64, time: u64) -> Outcome {
        groups.add(&SHAPE, 1_000, 4, key, (time, 0))
    }

    fn fires(outcome: Outcome) -> Option<u64> {
        if let Outcome::Fires { suppressed, .. } = outcome { Some(suppressed) } else { None }
    }

    #[test]
    fn one_alert_in_a_cooldown_and_the_next_tells_what_was_kept_back() {
        let mut groups = Groups::default();
        assert_eq!((add(&mut groups, 1, 10), add(&mut groups, 1, 20)), (Outcome::Below, Outcome::Below));
        assert_eq!(fires(add(&mut groups, 1, 30)), Some(0));
        assert_eq!(add(&mut groups, 1, 40), Outcome::Quiet);
        assert_eq!(add(&mut groups, 2, 40), Outcome::Below, "another group");
        for time in [1_010, 1_020, 1_029] {
            add(&mut groups, 1, time);
        }
        assert_eq!(fires(add(&mut groups, 1, 1_030)), Some(2), "at 40 and 1029");
    }

    #[test]
    fn the_group_used_longest_ago_goes_and_counts_while_it_matters() {
        let mut groups = Groups::default();
        for key in 1..=4 {
            add(&mut groups, key, 10);
        }
        add(&mut groups, 1, 10);
        add(&mut groups, 5, 11);
        assert_eq!((groups.len(), groups.evicted()), (4, 1), "group 2");
        assert_eq!(fires(add(&mut groups, 1, 12)), Some(0), "group 1 is there");
        add(&mut groups, 6, 500);
        assert_eq!((groups.len(), groups.evicted()), (3, 1), "groups 3 and 4 were over");
    }

    #[test]
    fn bytes_are_those_of_the_groups_that_are_there() {
        let mut groups = Groups::default();
        for key in 0..100 {
            add(&mut groups, key, key);
            let windows: usize = groups.map.values().map(|group| group.window.bytes()).sum();
            assert_eq!(groups.bytes(), groups.len() * GROUP_BYTES + windows);
        }
        while groups.evict(&SHAPE, 200) {}
        assert_eq!(groups.bytes(), 0);
    }

    #[test]
    fn what_is_late_by_a_window_does_not_count() {
        let mut groups = Groups::default();
        add(&mut groups, 1, 200);
        assert_eq!(add(&mut groups, 1, 100), Outcome::Late);
        assert_eq!(add(&mut groups, 1, 101), Outcome::Below);
        assert_eq!(fires(add(&mut groups, 1, 150)), Some(0));
    }

    #[test]
    fn a_clock_set_back_makes_no_group_deaf() {
        let mut groups = Groups::default();
        let (before, after) = (10 * OUT_OF_STEP, 5 * OUT_OF_STEP);
        for time in [before, before + 1, before + 2] {
            add(&mut groups, 1, time);
        }
        assert_eq!(add(&mut groups, 1, before + 3), Outcome::Quiet);
        let outcomes = [after, after + 1, after + 2].map(|time| add(&mut groups, 1, time));
        assert_eq!(outcomes[..2], [Outcome::Below, Outcome::Below], "the window is empty");
        assert_eq!(fires(outcomes[2]), Some(1), "nor is it quiet");
        assert_eq!(add(&mut groups, 1, after + 3), Outcome::Quiet, "it is now");
        assert_eq!(groups.restarted(), 1);
        let windows: usize = groups.map.values().map(|group| group.window.bytes()).sum();
        assert_eq!(groups.bytes(), GROUP_BYTES + windows);
    }

    #[test]
    fn one_wrong_time_stamp_makes_no_group_deaf() {
        let mut groups = Groups::default();
        for time in [OUT_OF_STEP, u64::MAX, OUT_OF_STEP + 1, OUT_OF_STEP + 2] {
            assert_eq!(add(&mut groups, 1, time), Outcome::Below);
        }
        assert_eq!(fires(add(&mut groups, 1, OUT_OF_STEP + 3)), Some(0));
        // Nor does a group whose newest time was wrong take room from others for ever.
        add(&mut groups, 2, u64::MAX);
        add(&mut groups, 1, 2 * OUT_OF_STEP);
        add(&mut groups, 3, 2 * OUT_OF_STEP);
        assert_eq!((groups.len(), groups.evicted()), (2, 0));
    }

    proptest! {
        /// Set back by more than shards are ever out of step, a window starts over, and is then what one that has
        /// never seen anything else is.
        #[test]
        fn after_a_clock_was_set_back_a_group_is_as_a_new_one(
            needed in 1usize..8,
            before in prop::collection::vec(0u64..60, 1..100),
            after in prop::collection::vec(0u64..60, 1..100),
        ) {
            let shape = Shape { needed, ..SHAPE };
            let (mut old, mut new) = (Groups::default(), Groups::default());
            let mut clock = 3 * OUT_OF_STEP;
            for step in before {
                clock += step;
                old.add(&shape, 500, 4, 1, (clock, 0));
            }
            clock = OUT_OF_STEP;
            for step in after {
                clock += step;
                let outcomes = [&mut old, &mut new].map(|groups| match groups.add(&shape, 500, 4, 1, (clock, 0)) {
                    Outcome::Fires { measured, .. } => Outcome::Fires { measured, suppressed: 0 },
                    other => other,
                });
                prop_assert_eq!(outcomes[0], outcomes[1]);
            }
            prop_assert_eq!((old.restarted(), new.restarted()), (1, 0));
        }

        /// Late by at most D, a window is at most D too long or too short.
        #[test]
        fn events_out_of_step_blur_a_window_by_as_much_as_they_are_late(
            needed in 1usize..8,
            events in prop::collection::vec((0u64..20, 0u64..30), 0..200),
        ) {
            const LATE: u64 = 30;
            let shape = Shape { needed, ..SHAPE };
            let (mut groups, mut clock, mut came) = (Groups::default(), 0, Vec::new());
            for (step, late) in events {
                clock += step;
                let time = (clock + LATE) - late;
                came.push(time);
                let within = |length: u64| came.iter().filter(|seen| **seen + length > time && **seen <= time).count();
                let fired = groups.add(&shape, 0, 4, 1, (time, 0)) != Outcome::Below;
                // Those that came before it and are newer count too.
                let newer = came.iter().filter(|seen| **seen > time).count();
                prop_assert!(!fired || within(shape.length + LATE) + newer >= needed);
                prop_assert!(fired || within(shape.length - LATE) < needed);
            }
        }
    }
}
