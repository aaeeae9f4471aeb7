//! One counter for every outcome, per CPU and hook.
//!
//! Two laws hold exactly, in the kernel and in a replay:
//!
//! - `seen = unselected + unparseable + selected`
//! - `selected = emitted + ring_full + rate_limited`, for every class
//!
//! [`FilterCounters::TABLE`] has one row for each counter. The `stats` event and `/metrics` are derived from it.

use crate::reason::{Malformed, PassReason, RecordClass};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterUnit {
    /// Frames at a hook.
    Frames,
    /// Records for a shard.
    Records,
    /// Inserts into the flow map.
    Inserts,
    /// Wakeups of a shard's thread.
    Wakeups,
}

/// The label that splits a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterLabel {
    /// Name of the label.
    pub name: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
    /// A help text for each value.
    pub help: &'static [&'static str],
}

/// One row of [`FilterCounters::TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct CounterRow {
    /// Name of the counter.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub help: &'static str,
    /// Its unit.
    pub unit: CounterUnit,
    /// The label that splits it, if one does.
    pub label: Option<CounterLabel>,
    /// Its values: one for each value of the label, otherwise one.
    pub values: fn(&FilterCounters) -> &[u64],
}

/// Declares [`FilterCounters`] and its table. The documentation of a counter is one line, and its help text.
macro_rules! counters {
    ($(#[doc = $help:literal] $name:ident: $unit:ident $(by $label:ident of $Reason:ident)?,)+) => {
        /// Counters of one hook on one CPU, or sums of them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct FilterCounters {
            $(#[doc = $help] pub $name: counters!(@type $($Reason)?),)+
        }

        impl FilterCounters {
            /// The counters in the order of their fields.
            pub const TABLE: &'static [CounterRow] = &[$(CounterRow {
                name: stringify!($name),
                help: $help.trim_ascii_start(),
                unit: CounterUnit::$unit,
                label: counters!(@label $($label $Reason)?),
                values: |counters| counters!(@values counters.$name $($Reason)?),
            }),+];
        }
    };
    (@type) => { u64 };
    (@type $Reason:ident) => { [u64; $Reason::COUNT] };
    (@label) => { None };
    (@label $label:ident $Reason:ident) => {
        Some(CounterLabel { name: stringify!($label), values: $Reason::NAMES, help: $Reason::HELP })
    };
    (@values $counters:ident.$name:ident) => { core::slice::from_ref(&$counters.$name) };
    (@values $counters:ident.$name:ident $Reason:ident) => { &$counters.$name };
}

counters! {
    /// Frames that reached the filter.
    seen: Frames,
    /// Frames that were not selected.
    unselected: Frames by reason of PassReason,
    /// Frames with headers that cannot be parsed.
    unparseable: Frames by reason of Malformed,
    /// Frames that were selected.
    selected: Frames by class of RecordClass,
    /// Records written to the ring of a shard.
    emitted: Records by class of RecordClass,
    /// Records lost because the ring of the shard was full.
    ring_full: Records by class of RecordClass,
    /// Records dropped by the limits of their class: its rate, or its mark in the ring.
    rate_limited: Records by class of RecordClass,
    /// Records that hold less of the frame than was selected.
    truncated: Records,
    /// Flow-map inserts that failed.
    flow_insert_failed: Inserts,
    /// Wakeups of sleeping shards.
    wakeups: Wakeups,
}

impl FilterCounters {
    /// Number of counters.
    pub const WORDS: usize = size_of::<Self>() / 8;

    /// Adds another set, counter by counter.
    pub fn add(&mut self, other: &Self) {
        let from: [u64; Self::WORDS] = zerocopy::transmute!(*other);
        let mut to: [u64; Self::WORDS] = zerocopy::transmute!(*self);
        for (to, from) in to.iter_mut().zip(from) {
            *to = to.wrapping_add(from);
        }
        *self = zerocopy::transmute!(to);
    }

    /// Whether both laws hold.
    pub fn balanced(&self) -> bool {
        let sum = |counters: &[u64]| counters.iter().sum::<u64>();
        let outcomes = sum(&self.unselected) + sum(&self.unparseable) + sum(&self.selected);
        let per_class = self.emitted.iter().zip(&self.ring_full).zip(&self.rate_limited);
        self.seen == outcomes
            && per_class
                .zip(&self.selected)
                .all(|(((emitted, full), limited), selected)| emitted + full + limited == *selected)
    }
}
