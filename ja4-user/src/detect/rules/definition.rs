//! A rule as it was written.

use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;

use super::Condition;
use crate::model::Severity;
use crate::model::field::Field;

/// Most that `count` can be asked for: a group keeps a time for each.
pub(super) const MAX_COUNT: u32 = 10_000;

/// Most that `count_distinct` can be asked for: a group keeps a value's hash and time for each, and goes
/// through them for each event.
pub(super) const MAX_DISTINCT: u32 = 1_000;

/// What a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Connections.
    Connection,
    /// Fingerprints.
    Fingerprint,
}

/// What is measured of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many there were.
    Count,
    /// How many different values of a field there were.
    CountDistinct(Field),
}

/// When a measure is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// More than this.
    MoreThan(u32),
    /// This, or more.
    AtLeast(u32),
}

impl Threshold {
    /// The least measure that fires.
    #[must_use]
    pub const fn needed(self) -> u32 {
        match self {
            Self::MoreThan(number) => number.saturating_add(1),
            Self::AtLeast(number) => number,
        }
    }

    /// The same comparison with another number.
    #[must_use]
    pub const fn with(self, number: u32) -> Self {
        match self {
            Self::MoreThan(_) => Self::MoreThan(number),
            Self::AtLeast(_) => Self::AtLeast(number),
        }
    }
}

/// How windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every event looks back over one window's length.
    Sliding,
    /// One window after the other, counted from the Unix epoch.
    Tumbling,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// A stable word.
    pub name: Arc<str>,
    /// What the rule looks for, in words; the name, if left out.
    pub description: ArcStr,
    /// How much it matters; medium, if left out.
    pub severity: Severity,
    /// What is counted.
    pub on: On,
    /// What must hold of it; all of it.
    pub conditions: Vec<Condition>,
    /// What makes a group; empty: everything is one.
    pub group_by: Vec<Field>,
    /// What is measured.
    pub measure: Measure,
    /// When it is too much.
    pub threshold: Threshold,
    /// Over how long.
    pub window: Duration,
    /// How windows lie.
    pub mode: Mode,
    /// How long a group is quiet after an alert.
    pub cooldown: Duration,
}

impl Definition {
    /// The largest number that `threshold` may ask for.
    #[must_use]
    pub const fn limit(measure: Measure) -> u32 {
        match measure {
            Measure::Count => MAX_COUNT,
            Measure::CountDistinct(_) => MAX_DISTINCT,
        }
    }

    /// Whether windows of one are good for the other: what is counted is the same.
    #[must_use]
    pub fn counts_like(&self, other: &Self) -> bool {
        self.on == other.on
            && self.conditions == other.conditions
            && self.group_by == other.group_by
            && self.measure == other.measure
            && self.threshold.needed() == other.threshold.needed()
            && self.window == other.window
            && self.mode == other.mode
    }

    /// Every field it names.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> {
        let measured = match self.measure {
            Measure::Count => None,
            Measure::CountDistinct(field) => Some(field),
        };
        let conditions = self.conditions.iter().map(|condition| condition.field);
        conditions.chain(self.group_by.iter().copied()).chain(measured)
    }
}
