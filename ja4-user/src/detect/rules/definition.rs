//! The definition of a threshold rule.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;
use serde::Deserialize;

use super::condition::RuleCondition;
use crate::model::Severity;
use crate::model::field::Field;

/// Largest threshold of `count`: a group stores a time for each event.
pub(super) const MAX_COUNT: u32 = 10_000;

/// Largest threshold of `count_distinct`: a group stores a hash and a time for each value and scans them for each event.
pub(super) const MAX_DISTINCT: u32 = 1_000;

/// The events that a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleEvent {
    /// Connections.
    Connection,
    /// Fingerprints.
    Fingerprint,
}

/// The measure of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMeasure {
    /// The number of events.
    Count,
    /// The number of different values of a field.
    CountDistinct(Field),
}

/// The least measure that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleThreshold {
    /// More than this.
    MoreThan(u32),
    /// This or more.
    AtLeast(u32),
}

impl RuleThreshold {
    /// Returns the least measure that fires.
    #[must_use]
    pub(crate) const fn needed(self) -> u32 {
        match self {
            Self::MoreThan(number) => number.saturating_add(1),
            Self::AtLeast(number) => number,
        }
    }

    /// Returns the same comparison with another number.
    #[must_use]
    pub const fn with(self, number: u32) -> Self {
        match self {
            Self::MoreThan(_) => Self::MoreThan(number),
            Self::AtLeast(_) => Self::AtLeast(number),
        }
    }
}

/// The kind of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowMode {
    /// The window ends at the current event.
    Sliding,
    /// Consecutive windows, aligned to the Unix epoch.
    Tumbling,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDefinition {
    /// The name, unique among all rules.
    pub name: Arc<str>,
    /// The number of its alerts in EVE; default: derived from the name.
    pub sid: Option<NonZeroU32>,
    /// The description in alerts; default: the name.
    pub description: ArcStr,
    /// The severity of alerts.
    pub severity: Severity,
    /// The events that are counted.
    pub on: RuleEvent,
    /// The conditions that all must hold.
    pub conditions: Vec<RuleCondition>,
    /// The fields that define a group; empty: one group.
    pub group_by: Vec<Field>,
    /// The measure of a group.
    pub measure: RuleMeasure,
    /// The least measure that fires.
    pub threshold: RuleThreshold,
    /// The length of the window.
    pub window: Duration,
    /// The kind of window.
    pub mode: WindowMode,
    /// How long a group is suppressed after an alert.
    pub cooldown: Duration,
}

impl RuleDefinition {
    /// Returns the largest threshold of a measure.
    #[must_use]
    pub const fn limit(measure: RuleMeasure) -> u32 {
        match measure {
            RuleMeasure::Count => MAX_COUNT,
            RuleMeasure::CountDistinct(_) => MAX_DISTINCT,
        }
    }

    /// Whether both rules count the same, so that their windows are interchangeable.
    #[must_use]
    pub(crate) fn counts_like(&self, other: &Self) -> bool {
        self.on == other.on
            && self.conditions == other.conditions
            && self.group_by == other.group_by
            && self.measure == other.measure
            && self.threshold.needed() == other.threshold.needed()
            && self.window == other.window
            && self.mode == other.mode
    }

    /// The fields that the rule uses.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> {
        let measured = match self.measure {
            RuleMeasure::Count => None,
            RuleMeasure::CountDistinct(field) => Some(field),
        };
        let conditions = self.conditions.iter().map(|condition| condition.field);
        conditions.chain(self.group_by.iter().copied()).chain(measured)
    }
}
