//! Statistics as a tree of named counters.

use std::borrow::Cow;

/// A name and what it stands for.
type Entry = (Cow<'static, str>, Value);

/// What an entry of a [`Group`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A counter or a gauge.
    Count(u64),
    /// A word, such as the mode a hook was attached in.
    Text(String),
    /// More entries.
    Group(Group),
}

/// Named values in the order they are printed in.
///
/// Names are the caller's to keep distinct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group(pub Vec<Entry>);

/// The content of a `stats` event.
pub type StatsRecord = Group;

impl Group {
    /// Adds a counter.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>, count: u64) -> &mut Self {
        self.add(name, Value::Count(count))
    }

    /// Adds a word.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> &mut Self {
        self.add(name, Value::Text(text.into()))
    }

    /// Adds a group.
    pub fn group(&mut self, name: impl Into<Cow<'static, str>>, group: Self) -> &mut Self {
        self.add(name, Value::Group(group))
    }

    fn add(&mut self, name: impl Into<Cow<'static, str>>, value: Value) -> &mut Self {
        self.0.push((name.into(), value));
        self
    }
}
