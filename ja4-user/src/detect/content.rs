//! Everything that enrichment and detection read: labels, known-bad patterns, rules and the allowlist.

use std::sync::Arc;

use super::allowlist::Allowlist;
use super::builtin::BuiltinSettings;
use super::profile::ProfileSettings;
use super::rules::RuleSet;
use crate::enrich::{KnownBadList, LabelDatabase};

/// The content that a reload replaces as a whole.
#[derive(Clone, Debug, Default)]
pub struct DetectionContent {
    /// Labels of values.
    pub labels: LabelDatabase,
    /// Known-bad patterns.
    pub known_bad: KnownBadList,
    /// Threshold rules, with the overrides of the allowlist applied.
    pub rules: RuleSet,
    /// Settings of the built-in rules, with the overrides applied.
    pub builtin: BuiltinSettings,
    /// Settings of behaviour profiles, with the overrides applied.
    pub profiles: ProfileSettings,
    /// Alerts that are suppressed.
    pub allowlist: Arc<Allowlist>,
}
