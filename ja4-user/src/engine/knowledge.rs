//! What a site tells the engine: labels, known-bad values, rules, and what they leave in peace.

use std::sync::Arc;

use crate::anomaly::{Allow, RuleSet};
use crate::lookup::{Database, KnownBadList};

/// All of it. A reload takes the place of the whole.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Whose a value is.
    pub database: Database,
    /// What is known to be bad.
    pub known_bad: KnownBadList,
    /// Threshold rules.
    pub rules: RuleSet,
    /// What rules leave in peace.
    pub allow: Arc<Allow>,
}

impl Knowledge {
    /// What ships, for a site that has said nothing.
    ///
    /// # Errors
    /// Never, as tests see to.
    pub fn shipped() -> Result<Self, crate::anomaly::Report> {
        let (rules, _) = RuleSet::load(true, &[])?;
        Ok(Self { database: Database::builtin(), known_bad: KnownBadList::builtin(), rules, allow: Arc::default() })
    }
}
