//! An optional time.

use crate::model::Time;

/// `Option<Time>` in eight bytes: of these there are several in every connection. The last nanosecond of the year
/// 2554 cannot be told from a time that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptTime(u64);

impl Default for OptTime {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl OptTime {
    /// Not known.
    pub const UNKNOWN: Self = Self(u64::MAX);

    /// The time, if it is known.
    pub fn get(self) -> Option<Time> {
        self.is_known().then_some(Time(self.0))
    }

    /// Whether it is known.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    /// Is that time from now on, unless it is known.
    pub fn set_first(&mut self, time: Time) {
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
