//! The reference of the built-in rules, for docs/.

use super::rule::BuiltinRule;
use super::settings::BuiltinSettings;
use crate::document::{KeyReference, SettingType as _};
use crate::model::Severity;

/// One built-in rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinRuleReference {
    /// The name in alerts and configuration.
    pub name: &'static str,
    /// What the rule detects.
    pub description: &'static str,
    /// The default severity of its alerts.
    pub severity: Severity,
    /// The keys of its section.
    pub settings: Vec<KeyReference>,
}

/// Returns all built-in rules.
#[must_use]
pub fn reference() -> Vec<BuiltinRuleReference> {
    let settings = BuiltinSettings::default();
    let keys = settings.keys("builtin").unwrap_or_default();
    let rule = |rule: BuiltinRule| {
        let section = format!("builtin.{}", rule.name());
        BuiltinRuleReference {
            name: rule.name(),
            description: rule.description(),
            severity: settings.common(rule).severity,
            settings: keys.iter().filter(|key| key.section == section).cloned().collect(),
        }
    };
    BuiltinRule::ALL.map(rule).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_settings_with_help_and_default() {
        for rule in reference() {
            assert!(rule.settings.len() > 3, "{rule:?}");
            for key in &rule.settings {
                assert!(!key.help.is_empty() && key.default.is_some(), "{key:?}");
            }
        }
        let beacon = reference().pop().unwrap();
        let intervals = beacon.settings.iter().find(|key| key.key == "intervals").unwrap();
        assert_eq!((&*intervals.value_type, intervals.default.as_deref()), ("integer", Some("8")));
        assert_eq!(intervals.range.as_deref(), Some("from 3 to 32"));
        assert_eq!(intervals.help, "Number of intervals that must be regular.");
    }
}
