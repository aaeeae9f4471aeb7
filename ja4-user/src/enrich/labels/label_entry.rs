//! One row of a label file.

use std::sync::Arc;

use crate::document::Diagnostic;
use crate::model::Method;

/// A value or prefix and the name of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelEntry {
    pub(super) method: Method,
    /// The value, or a prefix of values.
    pub(super) value: Box<str>,
    pub(super) is_prefix: bool,
    pub(super) name: Arc<str>,
    pub(super) category: Option<Arc<str>>,
    /// Percent.
    pub(super) confidence: u8,
    /// Information for people; only in files.
    pub(super) note: Option<String>,
}

/// The result of reading a label file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedLabels {
    /// Values and prefixes that were read.
    pub entries: usize,
    /// Rows that were skipped.
    pub skipped: usize,
    /// Why rows were skipped: the first ones, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}
