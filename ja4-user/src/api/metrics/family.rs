//! A row of the metric table.

/// Prefix of every metric name.
pub(super) const PREFIX: &str = "ja4sensor_";

/// How the numbers at a path are exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricRole {
    /// A counter, which restarts with the sensor.
    Counter,
    /// A gauge.
    Gauge,
    /// Texts, as labels of a metric with the value 1.
    Info,
    /// Not exposed: it is derived from another metric, or is a text.
    LeftOut,
}

/// The unit of a number. Prometheus expects times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricUnit {
    /// The unit in the name, or none.
    One,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

impl MetricUnit {
    /// Formats a value in the base unit.
    pub(super) fn value(self, count: u64) -> String {
        match self {
            Self::One => count.to_string(),
            Self::Milliseconds => format!("{}.{:03}", count / 1000, count % 1000),
            Self::Microseconds => format!("{}.{:06}", count / 1_000_000, count % 1_000_000),
        }
    }
}

/// A metric and the path of its numbers in the `stats` event.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetricFamily {
    /// Names from the top of the tree, separated by `/`. `{label}` matches any name and exposes it as a label;
    /// `{label:one|two}` matches only these names; `one|two` matches names without a label. A final `*` exposes all
    /// texts of a group as labels.
    pub(super) path: &'static str,
    /// The name between `ja4sensor_` and, for a counter, `_total`.
    pub(super) name: &'static str,
    pub(super) role: MetricRole,
    pub(super) unit: MetricUnit,
    /// The help text.
    pub(super) help: &'static str,
}

/// A family that matches nothing.
pub(super) const NONE: MetricFamily = left_out("", "");

/// Declares a counter.
pub(super) const fn counter(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Counter, unit: MetricUnit::One, help }
}

/// Declares a gauge.
pub(super) const fn gauge(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Gauge, unit: MetricUnit::One, help }
}

/// Declares texts as labels.
pub(super) const fn info(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Info, unit: MetricUnit::One, help }
}

/// Declares numbers without a metric, with the reason.
pub(super) const fn left_out(path: &'static str, why: &'static str) -> MetricFamily {
    MetricFamily { path, name: "", role: MetricRole::LeftOut, unit: MetricUnit::One, help: why }
}

impl MetricFamily {
    /// Returns the name of the metric with prefix and suffix.
    pub(super) fn full_name(&self) -> String {
        let suffix = if self.role == MetricRole::Counter { "_total" } else { "" };
        format!("{PREFIX}{}{suffix}", self.name)
    }

    /// Sets the unit.
    pub(super) const fn of(self, unit: MetricUnit) -> Self {
        Self { unit, ..self }
    }

    /// Returns the segment at a depth of the path.
    pub(super) fn segment(&self, depth: usize) -> Option<PathSegment> {
        self.path.split('/').nth(depth).map(PathSegment::read)
    }

    /// Returns the labels and their values for a path of the tree.
    pub(super) fn labels<'a>(&self, path: &[&'a str]) -> impl Iterator<Item = (&'static str, &'a str)> {
        let label = |segment| match PathSegment::read(segment) {
            PathSegment::Label(label, _) => Some(label),
            PathSegment::Names(_) | PathSegment::Texts => None,
        };
        self.path.split('/').zip(path).filter_map(move |(segment, name)| Some((label(segment)?, *name)))
    }
}

/// A segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// One of these names, separated by `|`.
    Names(&'static str),
    /// A label, and the names that it may have; empty for any.
    Label(&'static str, &'static str),
    /// All texts of a group.
    Texts,
}

impl PathSegment {
    fn read(text: &'static str) -> Self {
        match text.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
            Some(label) => {
                let (label, names) = label.split_once(':').unwrap_or((label, ""));
                Self::Label(label, names)
            }
            None if text == "*" => Self::Texts,
            None => Self::Names(text),
        }
    }

    /// Whether the segment matches a name.
    pub(super) fn fits(self, name: &str) -> bool {
        match self {
            Self::Label(_, "") => true,
            Self::Names(names) | Self::Label(_, names) => names.split('|').any(|known| known == name),
            // Matches a group, not a name.
            Self::Texts => false,
        }
    }
}
