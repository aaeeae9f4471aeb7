//! Settings of the built-in rules: a section `[builtin.NAME]` each.

use serde::{Deserialize, Serialize};

use super::Rule;
use crate::model::Severity;
use crate::model::method_set::{COOLDOWN, WINDOW};
use crate::units::Span;

/// How long a value is rare. For no time, no value is.
const RARE: (Span, Span) = (Span::seconds(1), Span::seconds(366 * 86_400));

/// Shortest interval of a beacon: what is closer together is one beat.
const INTERVAL: (Span, Span) = (Span::seconds(1), WINDOW.1);

/// What every rule has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Common {
    /// Whether it is evaluated.
    pub enabled: bool,
    /// How much an alert matters.
    pub severity: Severity,
    /// How long one alert stands for all further ones of its group.
    pub cooldown: Span,
}

/// A rule's section: what every rule has, and settings of its own with their defaults.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident($severity:ident, $cooldown:literal) {
        $($(#[$about:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Whether it is evaluated.
            pub enabled: bool,
            /// How much an alert matters.
            #[serde(with = "crate::model::method_set::severity")]
            pub severity: Severity,
            /// How long one alert stands for all further ones of its group.
            pub cooldown: Span,
            $($(#[$about])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                let (severity, cooldown) = (Severity::$severity, Span::seconds($cooldown));
                Self { enabled: true, severity, cooldown, $($field: $default,)* }
            }
        }

        impl $name {
            fn common(&self) -> Common {
                let Self { enabled, severity, cooldown, .. } = *self;
                Common { enabled, severity, cooldown }
            }
        }
    };
}

section! {
    /// A value is known to be bad.
    KnownBad(High, 600) {
        /// Confidence from which on the severity is the one above; below it, where ordinary software shares the value,
        /// it is low.
        confidence: u8 = 50,
    }
}

section! {
    /// A value was never seen before.
    FirstSeen(Low, 600) {
        /// Values that are new to a local host alone are told too.
        hosts: bool = true,
    }
}

section! {
    /// A path shows a tunnel that had none.
    NewTunnel(Medium, 3600) {
        /// Connections of a path without a tunnel from which on one is told.
        observations: u32 = 5,
    }
}

section! {
    /// A client's stack is not what its User-Agent says.
    UserAgentMismatch(Medium, 3600) {
        /// How long a User-Agent and the JA4s of its host are held against each other.
        window: Span = Span::seconds(600),
        /// JA4s of a host that have to speak against its User-Agent, where none of them went to the same server.
        sightings: u32 = 3,
    }
}

section! {
    /// One host shows many JA4s.
    ManyJa4(Medium, 3600) {
        /// Different JA4s that are still usual, at most 127.
        threshold: u32 = 20,
        /// In which time.
        window: Span = Span::seconds(600),
    }
}

section! {
    /// A rare value spreads over hosts.
    RareValueSpread(Medium, 86400) {
        /// Clients with the value that are told, at most 64.
        hosts: u32 = 5,
        /// In which time.
        window: Span = Span::seconds(3600),
        /// How long after its first sighting a value is rare.
        rare_for: Span = Span::seconds(86400),
    }
}

section! {
    /// The shape of a certificate chain was never seen for a server name.
    NewChain(Low, 3600) {
        /// Chains of a server name from which on a new shape is told.
        observations: u32 = 5,
    }
}

section! {
    /// A value comes to one destination at regular intervals.
    Beacon(Low, 86400) {
        /// Intervals that have to be regular, 3 to 32.
        intervals: u32 = 8,
        /// Largest coefficient of variation, standard deviation over mean, that is regular.
        variation: f64 = 0.15,
        /// Shortest interval.
        min_interval: Span = Span::seconds(5),
    }
}

/// Settings of all rules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Rule `known_bad`.
    pub known_bad: KnownBad,
    /// Rule `first_seen`.
    pub first_seen: FirstSeen,
    /// Rule `new_tunnel`.
    pub new_tunnel: NewTunnel,
    /// Rule `user_agent_mismatch`.
    pub user_agent_mismatch: UserAgentMismatch,
    /// Rule `many_ja4`.
    pub many_ja4: ManyJa4,
    /// Rule `rare_value_spread`.
    pub rare_value_spread: RareValueSpread,
    /// Rule `new_chain`.
    pub new_chain: NewChain,
    /// Rule `beacon`.
    pub beacon: Beacon,
}

impl Settings {
    /// What a rule has in common with the others.
    #[must_use]
    pub fn common(&self, rule: Rule) -> Common {
        match rule {
            Rule::KnownBad => self.known_bad.common(),
            Rule::FirstSeen => self.first_seen.common(),
            Rule::NewTunnel => self.new_tunnel.common(),
            Rule::UserAgentMismatch => self.user_agent_mismatch.common(),
            Rule::ManyJa4 => self.many_ja4.common(),
            Rule::RareValueSpread => self.rare_value_spread.common(),
            Rule::NewChain => self.new_chain.common(),
            Rule::Beacon => self.beacon.common(),
        }
    }

    /// Switches a rule on or off and gives it another severity, as an override says.
    pub fn change(&mut self, rule: Rule, enabled: Option<bool>, severity: Option<Severity>) {
        macro_rules! change {
            ($section:ident) => {{
                let section = &mut self.$section;
                section.enabled = enabled.unwrap_or(section.enabled);
                section.severity = severity.unwrap_or(section.severity);
            }};
        }
        match rule {
            Rule::KnownBad => change!(known_bad),
            Rule::FirstSeen => change!(first_seen),
            Rule::NewTunnel => change!(new_tunnel),
            Rule::UserAgentMismatch => change!(user_agent_mismatch),
            Rule::ManyJa4 => change!(many_ja4),
            Rule::RareValueSpread => change!(rare_value_spread),
            Rule::NewChain => change!(new_chain),
            Rule::Beacon => change!(beacon),
        }
    }

    /// Gives a rule another threshold: the confidence of `known_bad`, the sightings of `user_agent_mismatch`, the
    /// observations of `new_tunnel` and `new_chain`, the number of JA4s of `many_ja4`, of hosts of `rare_value_spread`,
    /// of intervals of `beacon`.
    ///
    /// # Errors
    /// It is out of range, or for `first_seen`, which has none. Nothing has changed then.
    pub fn set_threshold(&mut self, rule: Rule, threshold: u32) -> Result<(), String> {
        let mut changed = self.clone();
        match rule {
            Rule::KnownBad => changed.known_bad.confidence = u8::try_from(threshold).unwrap_or(u8::MAX),
            Rule::FirstSeen => return Err("rule 'first_seen' has no threshold".to_owned()),
            Rule::NewTunnel => changed.new_tunnel.observations = threshold,
            Rule::UserAgentMismatch => changed.user_agent_mismatch.sightings = threshold,
            Rule::ManyJa4 => changed.many_ja4.threshold = threshold,
            Rule::RareValueSpread => changed.rare_value_spread.hosts = threshold,
            Rule::NewChain => changed.new_chain.observations = threshold,
            Rule::Beacon => changed.beacon.intervals = threshold,
        }
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// Whether all values are in their ranges.
    ///
    /// # Errors
    /// Names the first that is not, and its range.
    pub fn check(&self) -> Result<(), String> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// All values that are out of their ranges: each by its key, `builtin.beacon.intervals`, and its range.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let Self { known_bad, new_tunnel, user_agent_mismatch, many_ja4, rare_value_spread, new_chain, beacon, .. } =
            self;
        let variation = beacon.variation;
        let within = [
            ("known_bad.confidence", u32::from(known_bad.confidence), 0, 100),
            ("many_ja4.threshold", many_ja4.threshold, 1, super::many::MAX_VALUES - 1),
            ("rare_value_spread.hosts", rare_value_spread.hosts, 2, super::spread::MAX_HOSTS),
            ("beacon.intervals", beacon.intervals, 3, super::beacon::MAX_INTERVALS),
        ];
        let some = [
            ("new_tunnel.observations", new_tunnel.observations),
            ("new_chain.observations", new_chain.observations),
            ("user_agent_mismatch.sightings", user_agent_mismatch.sightings),
        ];
        let cooldowns =
            Rule::ALL.map(|rule| (format!("{}.cooldown", rule.name()), self.common(rule).cooldown, COOLDOWN));
        let times = [
            ("user_agent_mismatch.window", user_agent_mismatch.window, WINDOW),
            ("many_ja4.window", many_ja4.window, WINDOW),
            ("rare_value_spread.window", rare_value_spread.window, WINDOW),
            ("rare_value_spread.rare_for", rare_value_spread.rare_for, RARE),
            ("beacon.min_interval", beacon.min_interval, INTERVAL),
        ];
        let times = times.into_iter().map(|(name, time, range)| (name.to_owned(), time, range)).chain(cooldowns);

        let mut faults = Vec::new();
        for (name, value, least, most) in within {
            if !(least..=most).contains(&value) {
                faults.push(format!("builtin.{name} is {value}; it must lie between {least} and {most}"));
            }
        }
        for (name, _) in some.into_iter().filter(|(_, value)| *value == 0) {
            faults.push(format!("builtin.{name} is 0; it must be at least 1"));
        }
        for (name, time, (least, most)) in times {
            if !(least..=most).contains(&time) {
                faults.push(format!("builtin.{name} is {time}; it must lie between {least} and {most}"));
            }
        }
        if !(0.0..=1.0).contains(&variation) {
            faults.push(format!("builtin.beacon.variation is {variation}; it must lie between 0 and 1"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_what_it_names() {
        let settings: Settings = toml::from_str(
            "[beacon]\nintervals = 12\nseverity = \"high\"\n[many_ja4]\nenabled = false\nwindow = \"1h\"",
        )
        .unwrap();
        assert_eq!((settings.beacon.intervals, settings.beacon.severity), (12, Severity::High));
        assert_eq!((settings.many_ja4.window, settings.many_ja4.threshold), (Span::seconds(3600), 20));
        assert!(!settings.common(Rule::ManyJa4).enabled && settings.common(Rule::Beacon).enabled);
        let again: Settings = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
        assert_eq!(again, settings);
    }

    #[test]
    fn unknown_keys_and_wrong_words_are_refused() {
        for (text, said) in [
            ("[beacons]", "unknown field `beacons`"),
            ("[beacon]\ninterval = 3", "unknown field `interval`"),
            ("[beacon]\nseverity = \"bad\"", "'bad' is no severity"),
            ("[beacon]\ncooldown = \"1 hour\"", "is no duration"),
        ] {
            let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn times_and_numbers_with_which_a_rule_is_dead_or_never_quiet_are_refused() {
        let settings: Settings = toml::from_str(
            "[new_tunnel]\nobservations = 0\n[user_agent_mismatch]\nwindow = \"0s\"\nsightings = 0\n[many_ja4]\n\
             window = \"0s\"\ncooldown = \"0s\"\n[rare_value_spread]\nwindow = \"0s\"\nrare_for = \"0s\"\n[new_chain]\n\
             observations = 0\n[beacon]\nmin_interval = \"0s\"",
        )
        .unwrap();
        let expected = [
            "builtin.new_tunnel.observations is 0; it must be at least 1",
            "builtin.new_chain.observations is 0; it must be at least 1",
            "builtin.user_agent_mismatch.sightings is 0; it must be at least 1",
            "builtin.user_agent_mismatch.window is 0s; it must lie between 1ms and 7d",
            "builtin.many_ja4.window is 0s; it must lie between 1ms and 7d",
            "builtin.rare_value_spread.window is 0s; it must lie between 1ms and 7d",
            "builtin.rare_value_spread.rare_for is 0s; it must lie between 1s and 366d",
            "builtin.beacon.min_interval is 0s; it must lie between 1s and 7d",
            "builtin.many_ja4.cooldown is 0s; it must lie between 1s and 7d",
        ];
        assert_eq!(settings.faults(), expected);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        let error = settings.set_threshold(Rule::Beacon, 2).unwrap_err();
        assert_eq!(error, "builtin.beacon.intervals is 2; it must lie between 3 and 32");
        let mut settings = Settings::default();
        settings.change(Rule::ManyJa4, Some(false), Some(Severity::Low));
        settings.set_threshold(Rule::ManyJa4, 50).unwrap();
        assert_eq!((settings.many_ja4.enabled, settings.many_ja4.threshold), (false, 50));
        assert!(settings.set_threshold(Rule::FirstSeen, 1).is_err());
    }
}
