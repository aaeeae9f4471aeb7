//! What a site tells the engine: labels, known-bad values, rules, and what they leave in peace.

use std::sync::Arc;

use crate::detect::{Allow, RuleSet, builtin, profile};
use crate::enrich::{Database, KnownBadList};

/// All of it. A reload takes the place of the whole.
#[derive(Clone, Debug, Default)]
pub struct DetectionContent {
    /// Whose a value is.
    pub database: Database,
    /// What is known to be bad.
    pub known_bad: KnownBadList,
    /// Threshold rules, with the overrides of the allowlist.
    pub rules: RuleSet,
    /// Settings of the built-in rules, with those overrides.
    pub builtin: builtin::Settings,
    /// Settings of behaviour profiles, with those overrides.
    pub profiles: profile::Settings,
    /// What rules leave in peace.
    pub allow: Arc<Allow>,
}
