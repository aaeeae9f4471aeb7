//! Statistics as a tree of named counters.

use std::borrow::Cow;

/// A name and its value.
type Entry = (Cow<'static, str>, CounterValue);

/// What an entry of a [`CounterGroup`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CounterValue {
    /// A counter or a gauge.
    Count(u64),
    /// A word, such as the mode a hook was attached in.
    Text(String),
    /// More entries.
    Group(CounterGroup),
}

/// Named values in the order they are printed in.
///
/// The caller keeps names distinct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterGroup(pub Vec<Entry>);

/// The content of a `stats` event.
pub type StatsRecord = CounterGroup;

impl CounterGroup {
    /// Adds a counter.
    pub fn count(&mut self, name: impl Into<Cow<'static, str>>, count: u64) -> &mut Self {
        self.add(name, CounterValue::Count(count))
    }

    /// Adds a word.
    pub fn text(&mut self, name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> &mut Self {
        self.add(name, CounterValue::Text(text.into()))
    }

    /// Adds a group.
    pub fn group(&mut self, name: impl Into<Cow<'static, str>>, group: Self) -> &mut Self {
        self.add(name, CounterValue::Group(group))
    }

    /// Adds a group of counters that differ by a label.
    pub fn labelled(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        labels: impl IntoIterator<Item = &'static str>,
        counts: &[u64],
    ) -> &mut Self {
        let mut group = Self::default();
        for (label, count) in labels.into_iter().zip(counts) {
            group.count(label, *count);
        }
        self.group(name, group)
    }

    fn add(&mut self, name: impl Into<Cow<'static, str>>, value: CounterValue) -> &mut Self {
        self.0.push((name.into(), value));
        self
    }
}
