//! The counters of the engine.

use std::sync::Arc;

use crate::detect::builtin::{BuiltinRule, BuiltinStats};
use crate::detect::cooldown::CooldownStats;
use crate::detect::first_seen::FirstSeenStats;
use crate::detect::profile::ProfileStats;
use crate::detect::rules::{self, RuleStats};
use crate::enrich::remote::RemoteStats;
use crate::model::{CounterGroup, Severity};
use crate::units::HumanDuration;

/// Counters of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Observations received from the shards.
    pub observations: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections that have ended.
    pub ended: u64,
    /// Records evicted before their connection ended.
    pub evicted: u64,
    /// Records left at the end of the run: the end event of the connection was dropped.
    pub end_lost: u64,
    /// Alerts, by [`Severity`].
    pub alerts: [u64; Severity::ALL.len()],
    /// Matches suppressed by the allowlists.
    pub suppressed: u64,
    /// Suppressed matches by allowlist entry, as `listed_counts` returns them.
    pub allowlist: Vec<(String, u64)>,
    /// Reloads of rules and labels.
    pub reloads: u64,
    /// Remaining learning period.
    pub learning_left: HumanDuration,
    /// First-seen values.
    pub first_seen: FirstSeenStats,
    /// Behaviour profiles.
    pub profiles: ProfileStats,
    /// Built-in rules.
    pub builtin: BuiltinStats,
    /// Threshold rules.
    pub rules: rules::RuleEngineStats,
    /// Counters of each active threshold rule.
    pub by_rule: Vec<(Arc<str>, RuleStats)>,
    /// Cooldowns of built-in rules and profiles.
    pub cooldowns: CooldownStats,
    /// The remote lookup, if enabled.
    pub remote: Option<RemoteStats>,
}

impl EngineStats {
    pub(super) fn count_alert(&mut self, severity: Severity) {
        if let Some(count) = self.alerts.get_mut(severity as usize) {
            *count += 1;
        }
    }

    /// Returns the counters for a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let mut group = CounterGroup::default();
        let mut alerts = CounterGroup::default();
        for (severity, count) in Severity::ALL.iter().zip(self.alerts) {
            alerts.count(severity.name(), count);
        }
        group
            .count("observations", self.observations)
            .count("connections", self.connections)
            .count("ended", self.ended)
            .count("evicted", self.evicted)
            .count("end_lost", self.end_lost)
            .count("reloads", self.reloads)
            .group("alerts", alerts)
            .count("allowlisted", self.suppressed)
            .group("first_seen", self.first_seen_group())
            .group("profiles", self.profiles_group())
            .group("builtin", self.builtin_group())
            .group("rules", self.rules_group())
            .group("cooldowns", self.cooldowns_group());
        if !self.allowlist.is_empty() {
            let mut entries = CounterGroup::default();
            for (entry, count) in &self.allowlist {
                entries.count(entry.clone(), *count);
            }
            group.group("allowlist", entries);
        }
        if let Some(remote) = &self.remote {
            group.group("remote", remote_group(remote));
        }
        group
    }

    fn first_seen_group(&self) -> CounterGroup {
        let FirstSeenStats { values, host_values, bytes, evicted, expired, persist_lost, first, first_for_host } =
            self.first_seen;
        let mut group = CounterGroup::default();
        group
            .count("learning_left_s", self.learning_left.0.as_secs())
            .count("values", values)
            .count("host_values", host_values)
            .count("bytes", bytes)
            .count("evicted", evicted)
            .count("expired", expired)
            .count("persist_lost", persist_lost)
            .count("first", first)
            .count("first_for_host", first_for_host);
        group
    }

    fn profiles_group(&self) -> CounterGroup {
        let ProfileStats { keys, values, evicted_keys, evicted_values, refused, persist_lost, unusual } = self.profiles;
        let mut group = CounterGroup::default();
        group
            .count("keys", keys)
            .count("values", values)
            .count("evicted_keys", evicted_keys)
            .count("evicted_values", evicted_values)
            .count("refused", refused)
            .count("persist_lost", persist_lost)
            .count("unusual", unusual);
        group
    }

    fn builtin_group(&self) -> CounterGroup {
        let mut fired = CounterGroup::default();
        let mut evicted = CounterGroup::default();
        for (place, rule) in BuiltinRule::ALL.iter().enumerate() {
            fired.count(rule.name(), self.builtin.fired.get(place).copied().unwrap_or(0));
            evicted.count(rule.name(), self.builtin.evicted.get(place).copied().unwrap_or(0));
        }
        let mut group = CounterGroup::default();
        group.group("fired", fired).group("evicted", evicted);
        group
    }

    fn rules_group(&self) -> CounterGroup {
        let rules::RuleEngineStats { rules, total } = self.rules;
        let mut by_rule = CounterGroup::default();
        for (name, stats) in &self.by_rule {
            let mut group = CounterGroup::default();
            count_rule(stats, &mut group);
            by_rule.group(name.to_string(), group);
        }
        let mut group = CounterGroup::default();
        group.count("rules", rules);
        count_rule(&total, &mut group);
        group.group("by_rule", by_rule);
        group
    }

    fn cooldowns_group(&self) -> CounterGroup {
        let CooldownStats { groups, evicted, suppressed, unnamed } = self.cooldowns;
        let mut group = CounterGroup::default();
        group
            .count("groups", groups)
            .count("evicted", evicted)
            .count("suppressed", suppressed)
            .count("unnamed", unnamed);
        group
    }
}

/// Counters of one threshold rule, or the sum of all.
fn count_rule(stats: &RuleStats, group: &mut CounterGroup) {
    let RuleStats { matched, ungrouped, allowed, late, restarted, fired, suppressed, evicted, groups, bytes } = *stats;
    group
        .count("matched", matched)
        .count("ungrouped", ungrouped)
        .count("allowlisted", allowed)
        .count("late", late)
        .count("restarted", restarted)
        .count("fired", fired)
        .count("suppressed", suppressed)
        .count("evicted", evicted)
        .count("groups", groups)
        .count("bytes", bytes);
}

fn remote_group(remote: &RemoteStats) -> CounterGroup {
    let RemoteStats {
        cached,
        joined,
        requested,
        dropped,
        queued,
        hits,
        misses,
        failed,
        refused,
        opened,
        open,
        unsupported,
        evicted,
    } = *remote;
    let mut group = CounterGroup::default();
    group
        .count("cached", cached)
        .count("joined", joined)
        .count("requested", requested)
        .count("dropped", dropped)
        .count("queued", queued)
        .count("hits", hits)
        .count("misses", misses)
        .count("failed", failed)
        .count("refused", refused)
        .count("breaker_opened", opened)
        .count("breaker_open", u64::from(open))
        .count("unsupported", unsupported)
        .count("evicted", evicted);
    group
}
