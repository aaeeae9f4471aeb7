//! The labels of all values.

use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use crate::enrich::prefix_table::PrefixTable;
use crate::model::{Label, Method};

/// Labels of values. Immutable: a reload replaces it.
#[derive(Clone, Debug, Default)]
pub struct LabelDatabase {
    /// By the number of the method.
    pub(super) tables: [MethodLabels; Method::ALL.len()],
}

/// The labels of one method.
#[derive(Clone, Debug, Default)]
pub(super) struct MethodLabels {
    pub(super) exact: HashMap<Box<str>, Arc<Label>, RandomState>,
    pub(super) prefixes: PrefixTable<Arc<Label>>,
}

impl LabelDatabase {
    /// Returns the label of a value, with all its owners.
    #[inline]
    #[must_use]
    pub fn lookup(&self, method: Method, value: &str) -> Option<Arc<Label>> {
        let table = self.tables.get(method as usize)?;
        // The label of a value includes the owners of its prefixes, that of a prefix those of shorter prefixes.
        table.exact.get(value).or_else(|| table.prefixes.of(value).next()).map(Arc::clone)
    }

    /// The number of labelled values and of labelled prefixes of a method.
    #[must_use]
    pub fn len(&self, method: Method) -> (usize, usize) {
        let table = self.tables.get(method as usize);
        table.map_or((0, 0), |table| (table.exact.len(), table.prefixes.len()))
    }
}
