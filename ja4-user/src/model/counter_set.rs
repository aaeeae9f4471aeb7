//! Declarations of counters.
//!
//! A row of [`counter_set`] declares a counter once: the field, its key in the `stats` event, the help text, the kind and the
//! metric. JSON, `/metrics` and docs/counters.md are derived from the rows, in their order.

use std::sync::Arc;

use super::counters::CounterGroup;

/// How a number of the `stats` event is exposed at `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// A counter, which restarts with the sensor.
    Counter,
    /// A gauge.
    Gauge,
    /// Texts, as labels of a metric with the value 1.
    Info,
    /// Not exposed: it is derived from another metric, or is a text.
    LeftOut,
}

/// The declaration of a number of the `stats` event, or of numbers that differ by their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterDeclaration {
    /// Keys from the top of the event, separated by `/`. `{label}` matches any key and exposes it as a label;
    /// `{label:one|two}` matches only these keys. A final `*` exposes all texts of a group as labels.
    pub path: String,
    /// The metric between `ja4sensor_` and, for a counter, `_total`; empty if it is not exposed.
    pub metric: String,
    /// How it is exposed.
    pub kind: CounterKind,
    /// What is counted; if it is not exposed, the reason.
    pub help: &'static str,
}

/// A metric with a sample for each of several counters. The value of its label is the counter's key.
#[derive(Clone, Copy, Debug)]
pub struct LabelledMetric {
    /// The label.
    pub label: &'static str,
    /// The metric.
    pub metric: &'static str,
    /// What the counters count.
    pub help: &'static str,
}

/// Arguments of a row with a help text.
#[derive(Clone, Copy, Debug)]
pub struct CounterSetRow {
    /// How it is exposed.
    pub kind: CounterKind,
    /// The key in the `stats` event. Its suffix is the unit: `_s`, `_ms`, `_us` or `bytes`.
    pub key: &'static str,
    /// The label of a counter that is split.
    pub label: Option<&'static str>,
    /// First part of the metric.
    pub prefix: &'static str,
    /// The metric; `None`: prefix and key.
    pub metric: Option<&'static str>,
    /// What is counted.
    pub help: &'static str,
    /// What is counted in the sum of several sets, if the help text does not say it.
    pub sum_help: Option<&'static str>,
}

/// A group of counters in the `stats` event.
pub trait CounterSet {
    /// Adds the declarations.
    fn declare(to: &mut CounterDeclarations);

    /// Adds the current numbers, in the order of the declarations.
    fn write(&self, to: &mut CounterGroup);

    /// Adds the group under a key.
    fn write_group(&self, key: &'static str, to: &mut CounterGroup) {
        to.group(key, self.group());
    }

    /// Returns the current numbers.
    #[must_use]
    fn group(&self) -> CounterGroup {
        let mut group = CounterGroup::default();
        self.write(&mut group);
        group
    }
}

impl<T: CounterSet> CounterSet for Option<T> {
    fn declare(to: &mut CounterDeclarations) {
        T::declare(to);
    }

    fn write(&self, to: &mut CounterGroup) {
        self.iter().for_each(|set| set.write(to));
    }

    fn write_group(&self, key: &'static str, to: &mut CounterGroup) {
        self.iter().for_each(|set| set.write_group(key, to));
    }
}

impl<T: CounterSet> CounterSet for Arc<T> {
    fn declare(to: &mut CounterDeclarations) {
        T::declare(to);
    }

    fn write(&self, to: &mut CounterGroup) {
        (**self).write(to);
    }
}

/// Counters that can be summed.
pub trait AddCounters {
    /// Adds the counters of another set.
    fn add(&mut self, other: &Self);
}

impl AddCounters for u64 {
    fn add(&mut self, other: &Self) {
        *self += other;
    }
}

impl<T: AddCounters, const N: usize> AddCounters for [T; N] {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(to, from)| to.add(from));
    }
}

/// Declarations in the order of the `stats` event.
#[derive(Clone, Debug, Default)]
pub struct CounterDeclarations {
    declared: Vec<CounterDeclaration>,
    /// Path of the current group.
    path: String,
    /// First part of the metrics of a sum of several sets.
    sum_prefix: Option<&'static str>,
}

impl CounterDeclarations {
    /// Declares a group. A key in braces is a label.
    pub fn group(&mut self, key: &str, declare: impl FnOnce(&mut Self)) {
        let end = self.path.len();
        self.path = self.path_of(key);
        declare(self);
        self.path.truncate(end);
    }

    /// Declares the sum of several sets, with another prefix of its metrics.
    pub fn sum<T: CounterSet>(&mut self, prefix: &'static str) {
        self.sum_prefix = Some(prefix);
        T::declare(self);
        self.sum_prefix = None;
    }

    /// Declares a row of a set.
    pub fn row(&mut self, row: CounterSetRow) {
        let CounterSetRow { kind, key, label, prefix, metric, help, sum_help } = row;
        let help = sum_help.filter(|_| self.sum_prefix.is_some()).unwrap_or(help).trim_ascii_start();
        let prefix = self.sum_prefix.unwrap_or(prefix);
        let metric = metric.map_or_else(|| default_metric(prefix, key), str::to_owned);
        let key = label.map_or_else(|| key.to_owned(), |label| format!("{key}/{{{label}}}"));
        self.add(kind, &key, metric, help);
    }

    /// Declares a counter with a sample of a metric, which consecutive counters share.
    pub fn labelled(&mut self, key: &str, metric: &LabelledMetric) {
        if let Some(last) = self.declared.last_mut()
            && last.metric == metric.metric
            && last.path.pop().is_some()
        {
            last.path.extend(["|", key, "}"]);
            return;
        }
        let key = format!("{{{}:{key}}}", metric.label);
        self.add(CounterKind::Counter, &key, metric.metric, metric.help);
    }

    /// Declares a number without a metric, with the reason.
    pub(crate) fn left_out(&mut self, key: &str, why: &'static str) {
        self.add(CounterKind::LeftOut, key, "", why);
    }

    /// Declares numbers of the current group.
    pub fn add(&mut self, kind: CounterKind, key: &str, metric: impl Into<String>, help: &'static str) {
        let (path, metric) = (self.path_of(key), metric.into());
        self.declared.push(CounterDeclaration { path, metric, kind, help });
    }

    /// Returns the declarations.
    #[must_use]
    pub(crate) fn into_vec(self) -> Vec<CounterDeclaration> {
        self.declared
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}/{key}", self.path) }
    }
}

/// The metric of a key, with the base unit of times: `shard_lag_seconds` of `lag_us`.
fn default_metric(prefix: &str, key: &str) -> String {
    let separator = if prefix.is_empty() { "" } else { "_" };
    match ["_s", "_ms", "_us"].into_iter().find_map(|unit| key.strip_suffix(unit)) {
        Some(time) => format!("{prefix}{separator}{time}_seconds"),
        None => format!("{prefix}{separator}{key}"),
    }
}

/// Functions of a row: they add the declaration and the current number.
pub type CounterSetRowFns<T> = (fn(&mut CounterDeclarations), fn(&T, &mut CounterGroup));

/// Declares a struct of counters, and implements [`CounterSet`] for it. A field is the key in the `stats` event.
///
/// ```text
/// pub struct NAME as PREFIX: AddCounters {          the prefix of the metrics, and whether sets are summed
///     /// The help text.
///     ///
///     /// What else is to be known of the field.
///     #[sum = "The help text of sums of sets."]
///     counter NAME,                                 or gauge NAME
///     counter NAME as METRIC,                       a metric with another name than prefix and key
///     counter NAME by LABEL of ENUM,                an array, with `ENUM::ALL` and `name` of each value
///     counter NAME in METRIC,                       a sample of a `LabelledMetric`
///     gauge NAME: bool,
///     gauge NAME: bool = METHOD,                    a number that is not a field
///     text NAME = METHOD,                           an `Option<String>`, which is not exposed at /metrics
///     group NAME: TYPE,                             a group below this one, such as a `CounterSet`, or an `Option` of it
///     group NAME: TYPE = METHOD,
///     flatten NAME: TYPE,                           the rows of another `CounterSet`
///     hidden NAME: TYPE,                            a field that is not in the event
/// }
/// ```
macro_rules! counter_set {
    ($(#[$meta:meta])* $vis:vis struct $Name:ident $(as $prefix:ident)? $(: $Add:ident)? { $($rows:tt)* }) => {
        $crate::model::counter_set! {
            @ {$(#[$meta])* $vis struct $Name} $Name [concat!("" $(, stringify!($prefix))?)] [$($Add)?] [] {} [] $($rows)*
        }
    };

    // Rows, each of which adds to the lists of fields, of declarations of fields and of functions.
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     $(#[$meta:meta])* hidden $name:ident: $Type:ty, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name] {$($fields)* $(#[$meta])* pub $name: $Type,} [$($row)*] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     $(#[$meta:meta])* flatten $name:ident: $Type:ty, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name] {$($fields)* $(#[$meta])* pub $name: $Type,} [$($row)* (
                <$Type as $crate::model::CounterSet>::declare,
                |set, to| $crate::model::CounterSet::write(&set.$name, to),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     $(#[$meta:meta])* group $name:ident: $Type:ty, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name] {$($fields)* $(#[$meta])* pub $name: $Type,} [$($row)* (
                |to| to.group(stringify!($name), <$Type as $crate::model::CounterSet>::declare),
                |set, to| $crate::model::CounterSet::write_group(&set.$name, stringify!($name), to),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt $field:tt $fields:tt [$($row:tt)*]
     group $name:ident: $Type:ty = $method:ident, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add $field $fields [$($row)* (
                |to| to.group(stringify!($name), <$Type as $crate::model::CounterSet>::declare),
                |set, to| $crate::model::CounterSet::write_group(set.$method(), stringify!($name), to),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt $field:tt $fields:tt [$($row:tt)*]
     text $name:ident = $method:ident, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add $field $fields [$($row)* (
                |to| to.left_out(stringify!($name), "a text"),
                |set, to| {
                    if let Some(text) = set.$method() {
                        to.text(stringify!($name), text);
                    }
                },
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     $(#[doc = $doc:literal])+ counter $name:ident in $METRIC:ident, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name] {$($fields)* $(#[doc = $doc])+ pub $name: u64,} [$($row)* (
                |to| to.labelled(stringify!($name), &$METRIC),
                |set, to| _ = to.count(stringify!($name), set.$name),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     #[doc = $help:literal] $(#[doc = $doc:literal])* $kind:ident $name:ident by $label:ident of $Labels:ident
     $(as $metric:ident)?, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name]
            {$($fields)* #[doc = $help] $(#[doc = $doc])* pub $name: [u64; $Labels::ALL.len()],}
            [$($row)* (
                $crate::model::counter_set!(@row $prefix $kind $name [$label] [$($metric)?] $help []),
                |set, to| _ = to.labelled(stringify!($name), $Labels::ALL.map($Labels::name), &set.$name),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt $field:tt $fields:tt [$($row:tt)*]
     #[doc = $help:literal] $kind:ident $name:ident: bool = $method:ident, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add $field $fields [$($row)* (
                $crate::model::counter_set!(@row $prefix $kind $name [] [] $help []),
                |set, to| _ = to.count(stringify!($name), u64::from(set.$method())),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     #[doc = $help:literal] $(#[doc = $doc:literal])* $kind:ident $name:ident: bool, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name]
            {$($fields)* #[doc = $help] $(#[doc = $doc])* pub $name: bool,}
            [$($row)* (
                $crate::model::counter_set!(@row $prefix $kind $name [] [] $help []),
                |set, to| _ = to.count(stringify!($name), u64::from(set.$name)),
            ),] $($rest)*
        }
    };
    (@ $head:tt $Name:ident $prefix:tt $Add:tt [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]
     #[doc = $help:literal] $(#[doc = $doc:literal])* $(#[sum = $sum:literal])? $kind:ident $name:ident
     $(as $metric:ident)?, $($rest:tt)*) => {
        $crate::model::counter_set! {
            @ $head $Name $prefix $Add [$($field)* $name]
            {$($fields)* #[doc = $help] $(#[doc = $doc])* pub $name: u64,}
            [$($row)* (
                $crate::model::counter_set!(@row $prefix $kind $name [] [$($metric)?] $help [$($sum)?]),
                |set, to| _ = to.count(stringify!($name), set.$name),
            ),] $($rest)*
        }
    };

    // The end: the struct with its functions.
    (@ {$($head:tt)*} $Name:ident $prefix:tt [$($Add:ident)?] [$($field:ident)*] {$($fields:tt)*} [$($row:tt)*]) => {
        $($head)* { $($fields)* }

        impl $Name {
            const COUNTER_ROWS: &'static [$crate::model::CounterSetRowFns<Self>] = &[$($row)*];
        }

        impl $crate::model::CounterSet for $Name {
            fn declare(to: &mut $crate::model::CounterDeclarations) {
                Self::COUNTER_ROWS.iter().for_each(|(declare, _)| declare(to));
            }

            fn write(&self, to: &mut $crate::model::CounterGroup) {
                Self::COUNTER_ROWS.iter().for_each(|(_, write)| write(self, to));
            }
        }

        $crate::model::counter_set!(@sum [$($Add)?] $Name [$($field)*]);
    };

    (@sum [] $Name:ident $field:tt) => {};
    (@sum [$Add:ident] $Name:ident [$($field:ident)*]) => {
        impl $crate::model::$Add for $Name {
            fn add(&mut self, other: &Self) {
                $($crate::model::$Add::add(&mut self.$field, &other.$field);)*
            }
        }
    };

    // The function that declares a number.
    (@row [$prefix:expr] $kind:ident $name:ident [$($label:ident)?] [$($metric:ident)?] $help:literal [$($sum:literal)?]) => {
        |to| to.row($crate::model::CounterSetRow {
            kind: $crate::model::counter_set!(@kind $kind),
            key: stringify!($name),
            label: $crate::model::counter_set!(@option $(stringify!($label))?),
            prefix: $prefix,
            metric: $crate::model::counter_set!(@option $(stringify!($metric))?),
            help: $help,
            sum_help: $crate::model::counter_set!(@option $($sum)?),
        })
    };
    (@kind counter) => { $crate::model::CounterKind::Counter };
    (@kind gauge) => { $crate::model::CounterKind::Gauge };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

pub(crate) use counter_set;
