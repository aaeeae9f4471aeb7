//! A metric.

use crate::model::{CounterDeclaration, CounterKind};

/// Prefix of every metric name.
pub(super) const PREFIX: &str = "ja4sensor_";

/// The unit of a number in the `stats` event. Prometheus expects times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricUnit {
    /// The unit in the metric's name, or none.
    One,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

impl MetricUnit {
    /// The unit that is the suffix of a path.
    fn of(path: &str) -> Self {
        match path {
            path if path.ends_with("_ms") => Self::Milliseconds,
            path if path.ends_with("_us") => Self::Microseconds,
            _ => Self::One,
        }
    }

    /// Formats a value in the base unit.
    pub(super) fn value(self, count: u64) -> String {
        match self {
            Self::One => count.to_string(),
            Self::Milliseconds => format!("{}.{:03}", count / 1000, count % 1000),
            Self::Microseconds => format!("{}.{:06}", count / 1_000_000, count % 1_000_000),
        }
    }
}

/// A metric and its declaration.
#[derive(Clone, Debug)]
pub(super) struct MetricFamily {
    declaration: CounterDeclaration,
    pub(super) unit: MetricUnit,
}

impl MetricFamily {
    /// The metric of a declaration.
    pub(super) fn new(declaration: CounterDeclaration) -> Self {
        Self { unit: MetricUnit::of(&declaration.path), declaration }
    }

    /// Path of its numbers in the `stats` event.
    pub(super) fn path(&self) -> &str {
        &self.declaration.path
    }

    /// How it is exposed.
    pub(super) const fn kind(&self) -> CounterKind {
        self.declaration.kind
    }

    /// The help text.
    pub(super) const fn help(&self) -> &'static str {
        self.declaration.help
    }

    /// Returns the name of the metric with prefix and suffix.
    pub(super) fn full_name(&self) -> String {
        let suffix = if self.kind() == CounterKind::Counter { "_total" } else { "" };
        format!("{PREFIX}{}{suffix}", self.declaration.metric)
    }

    /// Returns the segment at a depth of the path.
    pub(super) fn segment(&self, depth: usize) -> Option<PathSegment<'_>> {
        self.path().split('/').nth(depth).map(PathSegment::read)
    }

    /// Returns the labels and their values for a path of the tree.
    pub(super) fn labels<'a>(&'a self, path: &[&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let label = |segment| match PathSegment::read(segment) {
            PathSegment::Label(label, _) => Some(label),
            PathSegment::Name(_) | PathSegment::Texts => None,
        };
        self.path().split('/').zip(path).filter_map(move |(segment, name)| Some((label(segment)?, *name)))
    }
}

/// A segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment<'a> {
    /// This name.
    Name(&'a str),
    /// A label, and the names that it may have, separated by `|`; empty for any.
    Label(&'a str, &'a str),
    /// All texts of a group.
    Texts,
}

impl<'a> PathSegment<'a> {
    fn read(text: &'a str) -> Self {
        match text.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
            Some(label) => {
                let (label, names) = label.split_once(':').unwrap_or((label, ""));
                Self::Label(label, names)
            }
            None if text == "*" => Self::Texts,
            None => Self::Name(text),
        }
    }

    /// Whether the segment matches a name.
    pub(super) fn fits(self, name: &str) -> bool {
        match self {
            Self::Name(known) => known == name,
            Self::Label(_, "") => true,
            Self::Label(_, names) => names.split('|').any(|known| known == name),
            // Matches a group, not a name.
            Self::Texts => false,
        }
    }
}
