//! The counters of the engine.

use crate::detect::builtin::BuiltinStats;
use crate::detect::cooldown::CooldownStats;
use crate::detect::first_seen::FirstSeenStats;
use crate::detect::profile::ProfileStats;
use crate::detect::rules::RuleEngineStats;
use crate::enrich::remote::RemoteStats;
use crate::model::{CounterDeclarations, CounterGroup, CounterKind, CounterSet, Method, Severity, counter_set};

counter_set! {
    /// Counters of the engine.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct EngineStats as engine {
        /// Events of the shards.
        counter observations,
        /// Open connections in the engine.
        gauge connections,
        /// Connections ended.
        counter ended as engine_connections_ended,
        /// Connections that the end of the run had no time for.
        counter end_lost as engine_connections_end_lost,
        /// Reloads of rules and labels.
        counter reloads,
        /// Fingerprints, by type.
        counter fingerprints by type of Method as fingerprints,
        /// Alerts, by severity.
        counter alerts by severity of Severity as alerts,
        /// Matches suppressed by the allowlists.
        counter allowlisted as alerts_allowlisted,
        /// First-seen values.
        group first_seen: FirstSeenStats,
        /// Behaviour profiles.
        group profiles: ProfileStats,
        /// Built-in rules.
        group builtin: BuiltinStats,
        /// Threshold rules.
        group rules: RuleEngineStats,
        /// Cooldowns of built-in rules and profiles.
        group cooldowns: CooldownStats,
        /// Suppressed matches by allowlist entry, if there are entries.
        group allowlist: Option<AllowlistStats>,
        /// The remote lookup, if enabled.
        group remote: Option<RemoteStats>,
    }
}

/// Suppressed matches by allowlist entry, as `listed_counts` returns them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowlistStats(pub Vec<(String, u64)>);

impl CounterSet for AllowlistStats {
    fn declare(to: &mut CounterDeclarations) {
        to.left_out("others", "not monotonic: an entry may move to its own counter");
        to.add(CounterKind::Counter, "{entry}", "allowlist_suppressed", "Matches suppressed, by allowlist entry.");
    }

    fn write(&self, to: &mut CounterGroup) {
        for (entry, count) in &self.0 {
            to.count(entry.clone(), *count);
        }
    }
}
