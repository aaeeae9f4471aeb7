//! What the sections `[builtin.NAME]` have in common.

use crate::model::Severity;
use crate::units::HumanDuration;

/// The settings that every built-in rule has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonRuleSettings {
    /// Whether the rule is evaluated.
    pub enabled: bool,
    /// The severity of its alerts.
    pub severity: Severity,
    /// How long firings of a group are suppressed after an alert.
    pub cooldown: HumanDuration,
}

/// The section of one rule.
pub(super) trait RuleSection {
    /// The settings that every rule has.
    fn common(&self) -> CommonRuleSettings;

    /// Applies an override of the allowlist.
    fn apply(&mut self, enabled: Option<bool>, severity: Option<Severity>);
}

/// Declares the section of a rule: the common settings with the rule's defaults, and its own.
macro_rules! rule_settings {
    ($(#[$meta:meta])* $name:ident($severity:ident, $cooldown:literal) { $($own:tt)* }) => {
        $crate::document::settings! {
            $(#[$meta])*
            pub struct $name {
                /// Whether the rule is evaluated.
                pub enabled: bool = true;
                /// Severity of the rule's alerts.
                pub severity: $crate::model::Severity = $crate::model::Severity::$severity;
                /// How long further firings of the same group are suppressed after an alert; the next alert has their
                /// number.
                pub cooldown: $crate::units::HumanDuration = $crate::units::HumanDuration::seconds($cooldown),
                    in $crate::detect::time_ranges::COOLDOWN;
                $($own)*
            }
        }

        impl $crate::detect::builtin::rule_settings::RuleSection for $name {
            fn common(&self) -> $crate::detect::builtin::rule_settings::CommonRuleSettings {
                let Self { enabled, severity, cooldown, .. } = *self;
                $crate::detect::builtin::rule_settings::CommonRuleSettings { enabled, severity, cooldown }
            }

            fn apply(&mut self, enabled: Option<bool>, severity: Option<$crate::model::Severity>) {
                self.enabled = enabled.unwrap_or(self.enabled);
                self.severity = severity.unwrap_or(self.severity);
            }
        }
    };
}
pub(super) use rule_settings;
