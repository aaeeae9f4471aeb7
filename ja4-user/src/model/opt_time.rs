//! An optional time.

use crate::model::Time;

/// An `Option<Time>` in eight bytes, to save memory in every connection. The last nanosecond of the range, in the year
/// 2554, means that the time is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptTime(u64);

impl Default for OptTime {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl OptTime {
    /// No time.
    pub const UNKNOWN: Self = Self(u64::MAX);

    /// Returns the time, if it is known.
    pub fn get(self) -> Option<Time> {
        self.is_known().then_some(Time(self.0))
    }

    /// Whether the time is known.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    /// Sets the time, unless it is known already.
    pub(crate) fn set_first(&mut self, time: Time) {
        if !self.is_known() {
            *self = time.into();
        }
    }
}

impl From<Time> for OptTime {
    fn from(time: Time) -> Self {
        Self(time.0)
    }
}
