//! Settings of the built-in rules: one section `[builtin.NAME]` per rule.

pub use super::beacon::BeaconSettings;
pub use super::many_ja4::ManyJa4Settings;
pub use super::new_chain::NewChainSettings;
pub use super::new_tunnel::NewTunnelSettings;
pub use super::rare_value_spread::RareValueSpreadSettings;
use super::rule::BuiltinRule;
pub use super::rule_settings::CommonRuleSettings;
use super::rule_settings::{RuleSection, rule_settings};
pub use super::user_agent_mismatch::UserAgentMismatchSettings;
use crate::document::{SettingType as _, settings};
use crate::model::Severity;

rule_settings! {
    /// Section `[builtin.known_bad]`: a fingerprint matches a known-bad pattern.
    KnownBadSettings(High, 600) {
        /// Least confidence of a pattern for the severity above, percent. Below it, where ordinary software shows the
        /// value too, the severity is low.
        pub confidence: u8 = 50, in 0..=100;
    }
}

rule_settings! {
    /// Section `[builtin.first_seen]`: a fingerprint is seen for the first time.
    FirstSeenRuleSettings(Low, 600) {
        /// Whether values that are new to one local host, but not to the network, raise an alert too.
        pub hosts: bool = true;
    }
}

settings! {
    /// Section `[builtin]`: the settings of all built-in rules.
    pub struct BuiltinSettings {
        /// Rule `known_bad`.
        pub known_bad: KnownBadSettings = KnownBadSettings::default();
        /// Rule `first_seen`.
        pub first_seen: FirstSeenRuleSettings = FirstSeenRuleSettings::default();
        /// Rule `new_tunnel`.
        pub new_tunnel: NewTunnelSettings = NewTunnelSettings::default();
        /// Rule `user_agent_mismatch`.
        pub user_agent_mismatch: UserAgentMismatchSettings = UserAgentMismatchSettings::default();
        /// Rule `many_ja4`.
        pub many_ja4: ManyJa4Settings = ManyJa4Settings::default();
        /// Rule `rare_value_spread`.
        pub rare_value_spread: RareValueSpreadSettings = RareValueSpreadSettings::default();
        /// Rule `new_chain`.
        pub new_chain: NewChainSettings = NewChainSettings::default();
        /// Rule `beacon`.
        pub beacon: BeaconSettings = BeaconSettings::default();
    }
}

impl BuiltinSettings {
    /// Returns the settings that a rule has in common with the others.
    #[must_use]
    pub fn common(&self, rule: BuiltinRule) -> CommonRuleSettings {
        match rule {
            BuiltinRule::KnownBad => self.known_bad.common(),
            BuiltinRule::FirstSeen => self.first_seen.common(),
            BuiltinRule::NewTunnel => self.new_tunnel.common(),
            BuiltinRule::UserAgentMismatch => self.user_agent_mismatch.common(),
            BuiltinRule::ManyJa4 => self.many_ja4.common(),
            BuiltinRule::RareValueSpread => self.rare_value_spread.common(),
            BuiltinRule::NewChain => self.new_chain.common(),
            BuiltinRule::Beacon => self.beacon.common(),
        }
    }

    fn section_mut(&mut self, rule: BuiltinRule) -> &mut dyn RuleSection {
        match rule {
            BuiltinRule::KnownBad => &mut self.known_bad,
            BuiltinRule::FirstSeen => &mut self.first_seen,
            BuiltinRule::NewTunnel => &mut self.new_tunnel,
            BuiltinRule::UserAgentMismatch => &mut self.user_agent_mismatch,
            BuiltinRule::ManyJa4 => &mut self.many_ja4,
            BuiltinRule::RareValueSpread => &mut self.rare_value_spread,
            BuiltinRule::NewChain => &mut self.new_chain,
            BuiltinRule::Beacon => &mut self.beacon,
        }
    }

    /// Enables or disables a rule and changes its severity, as an override of the allowlist says.
    pub fn apply(&mut self, rule: BuiltinRule, enabled: Option<bool>, severity: Option<Severity>) {
        self.section_mut(rule).apply(enabled, severity);
    }

    /// Sets the threshold of a rule: `confidence` of `known_bad`, `sightings` of `user_agent_mismatch`, `observations`
    /// of `new_tunnel` and `new_chain`, `threshold` of `many_ja4`, `hosts` of `rare_value_spread`, `intervals` of
    /// `beacon`.
    ///
    /// # Errors
    /// The threshold is out of range, or the rule is `first_seen`, which has none. Then nothing is changed.
    pub(crate) fn set_threshold(&mut self, rule: BuiltinRule, threshold: u32) -> Result<(), String> {
        let mut changed = self.clone();
        match rule {
            BuiltinRule::KnownBad => changed.known_bad.confidence = u8::try_from(threshold).unwrap_or(u8::MAX),
            BuiltinRule::FirstSeen => return Err("rule 'first_seen' has no threshold".to_owned()),
            BuiltinRule::NewTunnel => changed.new_tunnel.observations = threshold,
            BuiltinRule::UserAgentMismatch => changed.user_agent_mismatch.sightings = threshold,
            BuiltinRule::ManyJa4 => changed.many_ja4.threshold = threshold,
            BuiltinRule::RareValueSpread => changed.rare_value_spread.hosts = threshold,
            BuiltinRule::NewChain => changed.new_chain.observations = threshold,
            BuiltinRule::Beacon => changed.beacon.intervals = threshold,
        }
        let mut first = None;
        changed.check_ranges("builtin", &mut |key, message| {
            first.get_or_insert(format!("{key}: {message}"));
        });
        match first {
            Some(error) => Err(error),
            None => {
                *self = changed;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::HumanDuration;

    fn out_of_range(settings: &BuiltinSettings) -> Vec<String> {
        let mut errors = Vec::new();
        settings.check_ranges("builtin", &mut |key, message| errors.push(format!("{key}: {message}")));
        errors
    }

    #[test]
    fn a_file_changes_only_the_keys_that_it_has() {
        let settings: BuiltinSettings = toml::from_str(
            "[beacon]\nintervals = 12\nseverity = \"high\"\n[many_ja4]\nenabled = false\nwindow = \"1h\"",
        )
        .unwrap();
        assert_eq!((settings.beacon.intervals, settings.beacon.severity), (12, Severity::High));
        assert_eq!((settings.many_ja4.window, settings.many_ja4.threshold), (HumanDuration::seconds(3600), 20));
        assert!(!settings.common(BuiltinRule::ManyJa4).enabled && settings.common(BuiltinRule::Beacon).enabled);
    }

    #[test]
    fn unknown_keys_and_values_are_rejected() {
        for (text, message) in [
            ("[beacons]", "unknown field `beacons`"),
            ("[beacon]\ninterval = 3", "unknown field `interval`"),
            ("[beacon]\nseverity = \"bad\"", "'bad'"),
            ("[beacon]\ncooldown = \"1 hour\"", "'1 hour'"),
        ] {
            let error = toml::from_str::<BuiltinSettings>(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn values_that_disable_a_rule_or_its_cooldown_are_out_of_range() {
        let settings: BuiltinSettings = toml::from_str(
            "[new_tunnel]\nobservations = 0\n[user_agent_mismatch]\nwindow = \"0s\"\nsightings = 0\n[many_ja4]\n\
             window = \"0s\"\ncooldown = \"0s\"\n[rare_value_spread]\nwindow = \"0s\"\nrare_for = \"0s\"\n[new_chain]\n\
             observations = 0\n[beacon]\nmin_interval = \"0s\"",
        )
        .unwrap();
        let expected = [
            "builtin.new_tunnel.observations: 0 is out of range; expected a value of at least 1",
            "builtin.user_agent_mismatch.window: 0s is out of range; expected a value from 1ms to 7d",
            "builtin.user_agent_mismatch.sightings: 0 is out of range; expected a value of at least 1",
            "builtin.many_ja4.cooldown: 0s is out of range; expected a value from 1s to 7d",
            "builtin.many_ja4.window: 0s is out of range; expected a value from 1ms to 7d",
            "builtin.rare_value_spread.window: 0s is out of range; expected a value from 1ms to 7d",
            "builtin.rare_value_spread.rare_for: 0s is out of range; expected a value from 1s to 366d",
            "builtin.new_chain.observations: 0 is out of range; expected a value of at least 1",
            "builtin.beacon.min_interval: 0s is out of range; expected a value from 1s to 7d",
        ];
        assert_eq!(out_of_range(&settings), expected);
    }

    #[test]
    fn a_threshold_out_of_range_changes_nothing() {
        let mut settings = BuiltinSettings::default();
        assert!(out_of_range(&settings).is_empty());
        let error = settings.set_threshold(BuiltinRule::Beacon, 2).unwrap_err();
        assert_eq!(error, "builtin.beacon.intervals: 2 is out of range; expected a value from 3 to 32");
        assert_eq!(settings, BuiltinSettings::default());
        settings.apply(BuiltinRule::ManyJa4, Some(false), Some(Severity::Low));
        settings.set_threshold(BuiltinRule::ManyJa4, 50).unwrap();
        assert_eq!((settings.many_ja4.enabled, settings.many_ja4.threshold), (false, 50));
        assert!(settings.set_threshold(BuiltinRule::FirstSeen, 1).is_err());
    }
}
