//! What a row of the table says.

/// Prefix of every metric name.
pub(super) const PREFIX: &str = "ja4sensor_";

/// What becomes of the numbers at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricRole {
    /// It only grows, until the sensor starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Texts as labels of a metric that is always 1.
    Info,
    /// Nothing: another family says it already, or it is no number.
    LeftOut,
}

/// What a number counts. Prometheus counts time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricUnit {
    /// What the name says.
    One,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
}

impl MetricUnit {
    /// The value as it is written.
    pub(super) fn value(self, count: u64) -> String {
        match self {
            Self::One => count.to_string(),
            Self::Milliseconds => format!("{}.{:03}", count / 1000, count % 1000),
            Self::Microseconds => format!("{}.{:06}", count / 1_000_000, count % 1_000_000),
        }
    }
}

/// A metric and where its numbers stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetricFamily {
    /// Names from the top of the tree, with `/` between them. Where any name may stand, `{label}` gives the label that
    /// takes it, `{label:one|two}` if it may only be one of these; `one|two` are names that need no label. A last
    /// `*` takes all texts of a group as labels.
    pub(super) path: &'static str,
    /// Behind `ja4sensor_`, and for a counter before `_total`.
    pub(super) name: &'static str,
    pub(super) role: MetricRole,
    pub(super) unit: MetricUnit,
    /// What it is, in a sentence.
    pub(super) help: &'static str,
}

/// What nothing has.
pub(super) const NONE: MetricFamily = left_out("", "");

/// What only grows.
pub(super) const fn counter(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Counter, unit: MetricUnit::One, help }
}

/// What goes up and down.
pub(super) const fn gauge(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Gauge, unit: MetricUnit::One, help }
}

/// Texts.
pub(super) const fn info(path: &'static str, name: &'static str, help: &'static str) -> MetricFamily {
    MetricFamily { path, name, role: MetricRole::Info, unit: MetricUnit::One, help }
}

/// What has no metric of its own, and why.
pub(super) const fn left_out(path: &'static str, why: &'static str) -> MetricFamily {
    MetricFamily { path, name: "", role: MetricRole::LeftOut, unit: MetricUnit::One, help: why }
}

impl MetricFamily {
    /// The same, its numbers in this unit.
    pub(super) const fn of(self, unit: MetricUnit) -> Self {
        Self { unit, ..self }
    }

    /// What stands at a depth of its path.
    pub(super) fn segment(&self, depth: usize) -> Option<PathSegment> {
        self.path.split('/').nth(depth).map(PathSegment::read)
    }

    /// Labels and what they are at a place of the tree.
    pub(super) fn labels<'a>(&self, path: &[&'a str]) -> impl Iterator<Item = (&'static str, &'a str)> {
        let label = |segment| match PathSegment::read(segment) {
            PathSegment::Label(label, _) => Some(label),
            PathSegment::Names(_) | PathSegment::Texts => None,
        };
        self.path.split('/').zip(path).filter_map(move |(segment, name)| Some((label(segment)?, *name)))
    }
}

/// One name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// One of these, with `|` between them.
    Names(&'static str),
    /// A label, and the names it may be; nothing: any.
    Label(&'static str, &'static str),
    /// All texts.
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

    /// Whether a name may stand here.
    pub(super) fn fits(self, name: &str) -> bool {
        match self {
            Self::Label(_, "") => true,
            Self::Names(names) | Self::Label(_, names) => names.split('|').any(|known| known == name),
            // Its group is taken as a whole.
            Self::Texts => false,
        }
    }
}
