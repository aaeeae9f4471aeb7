//! The groups of one rule, each with its window and cooldown.

use super::window::{GroupWindow, WindowMeasure, WindowSpec};
use crate::detect::time_ranges::MAX_SHARD_SKEW;
use crate::model::bounded_lru_map::BoundedLruMap;

/// The memory limits of all rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Groups of one rule.
    pub groups: usize,
    /// Bytes of all groups of all rules.
    pub bytes: usize,
}

impl GroupLimits {
    /// The limits of one of `parts` equal parts of all groups.
    pub(crate) const fn part(self, parts: usize) -> Self {
        Self { groups: self.groups.div_ceil(parts), bytes: self.bytes.div_ceil(parts) }
    }
}

/// One group for each source of a /16, and 64 MiB.
impl Default for GroupLimits {
    fn default() -> Self {
        Self { groups: 65_536, bytes: 64 * 1024 * 1024 }
    }
}

/// Memory of a group without its window: key, links of the list, a slot of the index.
const GROUP_BYTES: usize = size_of::<(u64, RuleGroup)>() + 2 * size_of::<usize>() + 2 * (size_of::<usize>() + 1);

/// The result of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupOutcome {
    /// Below the threshold.
    Below,
    /// Later than others of its group by a window or more: not counted.
    Late,
    /// The rule fires.
    Fires { measured: WindowMeasure, suppressed: u64 },
    /// A firing that the cooldown suppresses.
    Suppressed,
}

/// The groups of a rule in order of use, by a hash of their fields.
#[derive(Debug)]
pub(super) struct RuleGroups {
    groups: BoundedLruMap<u64, RuleGroup>,
    capacity: usize,
    bytes: usize,
    /// Groups evicted during their window or cooldown.
    evicted: u64,
    /// Groups restarted because the clock was set back.
    restarted: u64,
}

#[derive(Debug)]
struct RuleGroup {
    window: GroupWindow,
    newest: u64,
    suppressed_until: u64,
    suppressed: u64,
}

impl RuleGroups {
    /// Returns no groups, for at most `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { groups: BoundedLruMap::new(capacity), capacity, bytes: 0, evicted: 0, restarted: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Memory of the groups, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn restarted(&self) -> u64 {
        self.restarted
    }

    /// Counts an event of a group.
    ///
    /// Shards are not synchronised. An event that arrives after a newer one of its group is counted at the newer time, so
    /// the window is too long or too short by the delay. An event that is late by a window or more is not counted. An event
    /// that is late by [`MAX_SHARD_SKEW`] beyond that is not late: the clock was set back, or the newest time was wrong, and
    /// the group restarts; else it would count nothing until that time.
    pub(super) fn add(&mut self, shape: &WindowSpec, cooldown: u64, key: u64, event: (u64, u64)) -> GroupOutcome {
        let time = event.0;
        if let Some((_, group)) = self.groups.find_mut(&key, |held| *held == key) {
            let before = group.window.bytes();
            if group.is_ahead(shape, time) {
                // The next alert has the number of suppressed firings.
                *group = RuleGroup { newest: time, suppressed: group.suppressed, ..RuleGroup::new(shape) };
                self.restarted += 1;
            }
            let outcome = group.add(shape, cooldown, event);
            self.bytes = (self.bytes + group.window.bytes()).saturating_sub(before);
            return outcome;
        }
        self.evict_for_new(shape, time);
        let mut group = RuleGroup::new(shape);
        let before = group.window.bytes();
        let outcome = group.add(shape, cooldown, event);
        self.bytes += GROUP_BYTES + group.window.bytes() - before;
        self.groups.insert(key, group);
        outcome
    }

    /// Evicts the least recently used group. Returns `false` if there is none.
    pub(super) fn evict(&mut self, shape: &WindowSpec, time: u64) -> bool {
        let Some((_, group)) = self.groups.pop() else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(GROUP_BYTES + group.window.bytes());
        self.evicted += u64::from(group.is_active(shape, time));
        true
    }

    /// Prepares for one more group. Each new group evicts two inactive ones, so that memory follows the number of
    /// active groups.
    fn evict_for_new(&mut self, shape: &WindowSpec, time: u64) {
        for _ in 0..2 {
            if self.groups.oldest().is_some_and(|(_, oldest)| !oldest.is_active(shape, time)) {
                self.evict(shape, time);
            }
        }
        while self.groups.len() >= self.capacity && self.evict(shape, time) {}
    }
}

impl RuleGroup {
    fn new(shape: &WindowSpec) -> Self {
        Self { window: GroupWindow::new(shape), newest: 0, suppressed_until: 0, suppressed: 0 }
    }

    /// Counts an event: its time, and the hash of what is counted.
    fn add(&mut self, shape: &WindowSpec, cooldown: u64, (time, what): (u64, u64)) -> GroupOutcome {
        if time.saturating_add(shape.length) <= self.newest {
            return GroupOutcome::Late;
        }
        self.newest = self.newest.max(time);
        let measured = self.window.add(shape, self.newest, what);
        if measured == WindowMeasure::Below {
            return GroupOutcome::Below;
        }
        if self.newest < self.suppressed_until {
            self.suppressed += 1;
            return GroupOutcome::Suppressed;
        }
        self.suppressed_until = self.newest.saturating_add(cooldown);
        GroupOutcome::Fires { measured, suppressed: std::mem::take(&mut self.suppressed) }
    }

    /// Whether its window or cooldown is not over.
    fn is_active(&self, shape: &WindowSpec, time: u64) -> bool {
        let lasts = self.newest.saturating_add(shape.length) > time || self.suppressed_until > time;
        lasts && !self.is_ahead(shape, time)
    }

    /// Whether its newest time is so far ahead that the clock was set back.
    fn is_ahead(&self, shape: &WindowSpec, time: u64) -> bool {
        time.saturating_add(shape.length).saturating_add(MAX_SHARD_SKEW) <= self.newest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::rules::definition::WindowMode;

    const SHAPE: WindowSpec = WindowSpec { length: 100, mode: WindowMode::Sliding, distinct: false, needed: 3 };

    fn add(groups: &mut RuleGroups, key: u64, time: u64) -> GroupOutcome {
        groups.add(&SHAPE, 1_000, key, (time, 0))
    }

    fn fires(outcome: GroupOutcome) -> Option<u64> {
        if let GroupOutcome::Fires { suppressed, .. } = outcome { Some(suppressed) } else { None }
    }

    #[test]
    fn one_alert_per_cooldown_and_the_next_counts_the_suppressed_firings() {
        let mut groups = RuleGroups::new(4);
        assert_eq!((add(&mut groups, 1, 10), add(&mut groups, 1, 20)), (GroupOutcome::Below, GroupOutcome::Below));
        assert_eq!(fires(add(&mut groups, 1, 30)), Some(0));
        assert_eq!(add(&mut groups, 1, 40), GroupOutcome::Suppressed);
        assert_eq!(add(&mut groups, 2, 40), GroupOutcome::Below, "another group");
        for time in [1_010, 1_020, 1_029] {
            add(&mut groups, 1, time);
        }
        assert_eq!(fires(add(&mut groups, 1, 1_030)), Some(2), "at 40 and 1029");
    }

    #[test]
    fn the_least_recently_used_group_is_evicted_and_counted_while_active() {
        let mut groups = RuleGroups::new(4);
        for key in 1..=4 {
            add(&mut groups, key, 10);
        }
        add(&mut groups, 1, 10);
        add(&mut groups, 5, 11);
        assert_eq!((groups.len(), groups.evicted()), (4, 1), "group 2");
        assert_eq!(fires(add(&mut groups, 1, 12)), Some(0), "group 1 was used");
        add(&mut groups, 6, 500);
        assert_eq!((groups.len(), groups.evicted()), (3, 1), "groups 3 and 4 were inactive");
    }

    #[test]
    fn bytes_are_those_of_the_tracked_groups() {
        let mut groups = RuleGroups::new(4);
        for key in 0..100 {
            add(&mut groups, key, key);
            let windows: usize = groups.groups.iter().map(|(_, group)| group.window.bytes()).sum();
            assert_eq!(groups.bytes(), groups.len() * GROUP_BYTES + windows);
        }
        while groups.evict(&SHAPE, 200) {}
        assert_eq!(groups.bytes(), 0);
    }

    #[test]
    fn an_event_late_by_a_window_is_not_counted() {
        let mut groups = RuleGroups::new(4);
        add(&mut groups, 1, 200);
        assert_eq!(add(&mut groups, 1, 100), GroupOutcome::Late);
        assert_eq!(add(&mut groups, 1, 101), GroupOutcome::Below);
        assert_eq!(fires(add(&mut groups, 1, 150)), Some(0));
    }

    #[test]
    fn a_clock_set_back_restarts_groups() {
        let mut groups = RuleGroups::new(4);
        let (before, after) = (10 * MAX_SHARD_SKEW, 5 * MAX_SHARD_SKEW);
        for time in [before, before + 1, before + 2] {
            add(&mut groups, 1, time);
        }
        assert_eq!(add(&mut groups, 1, before + 3), GroupOutcome::Suppressed);
        let outcomes = [after, after + 1, after + 2].map(|time| add(&mut groups, 1, time));
        assert_eq!(outcomes[..2], [GroupOutcome::Below, GroupOutcome::Below], "the window is empty");
        assert_eq!(fires(outcomes[2]), Some(1), "and the cooldown over");
        assert_eq!(add(&mut groups, 1, after + 3), GroupOutcome::Suppressed, "suppressed again");
        assert_eq!(groups.restarted(), 1);
        let windows: usize = groups.groups.iter().map(|(_, group)| group.window.bytes()).sum();
        assert_eq!(groups.bytes(), GROUP_BYTES + windows);
    }

    #[test]
    fn one_wrong_timestamp_has_no_lasting_effect() {
        let mut groups = RuleGroups::new(4);
        for time in [MAX_SHARD_SKEW, u64::MAX, MAX_SHARD_SKEW + 1, MAX_SHARD_SKEW + 2] {
            assert_eq!(add(&mut groups, 1, time), GroupOutcome::Below);
        }
        assert_eq!(fires(add(&mut groups, 1, MAX_SHARD_SKEW + 3)), Some(0));
        // A group with a wrong newest time is evicted like others.
        add(&mut groups, 2, u64::MAX);
        add(&mut groups, 1, 2 * MAX_SHARD_SKEW);
        add(&mut groups, 3, 2 * MAX_SHARD_SKEW);
        assert_eq!((groups.len(), groups.evicted()), (2, 0));
    }

    proptest! {
        /// After a clock was set back by more than the shard skew, a window behaves like a new one.
        #[test]
        fn after_a_clock_was_set_back_a_group_is_like_a_new_one(
            needed in 1usize..8,
            before in prop::collection::vec(0u64..60, 1..100),
            after in prop::collection::vec(0u64..60, 1..100),
        ) {
            let shape = WindowSpec { needed, ..SHAPE };
            let (mut old, mut new) = (RuleGroups::new(4), RuleGroups::new(4));
            let mut clock = 3 * MAX_SHARD_SKEW;
            for step in before {
                clock += step;
                old.add(&shape, 500, 1, (clock, 0));
            }
            clock = MAX_SHARD_SKEW;
            for step in after {
                clock += step;
                let outcomes = [&mut old, &mut new].map(|groups| match groups.add(&shape, 500, 1, (clock, 0)) {
                    GroupOutcome::Fires { measured, .. } => GroupOutcome::Fires { measured, suppressed: 0 },
                    other => other,
                });
                prop_assert_eq!(outcomes[0], outcomes[1]);
            }
            prop_assert_eq!((old.restarted(), new.restarted()), (1, 0));
        }

        /// A window is too long or too short by at most the delay of the events.
        #[test]
        fn late_events_distort_a_window_by_at_most_their_delay(
            needed in 1usize..8,
            events in prop::collection::vec((0u64..20, 0u64..30), 0..200),
        ) {
            const LATE: u64 = 30;
            let shape = WindowSpec { needed, ..SHAPE };
            let (mut groups, mut clock, mut came) = (RuleGroups::new(4), 0, Vec::new());
            for (step, late) in events {
                clock += step;
                let time = (clock + LATE) - late;
                came.push(time);
                let within = |length: u64| came.iter().filter(|seen| **seen + length > time && **seen <= time).count();
                let fired = groups.add(&shape, 0, 1, (time, 0)) != GroupOutcome::Below;
                // Earlier arrivals with newer times are counted too.
                let newer = came.iter().filter(|seen| **seen > time).count();
                prop_assert!(!fired || within(shape.length + LATE) + newer >= needed);
                prop_assert!(fired || within(shape.length - LATE) < needed);
            }
        }
    }
}
