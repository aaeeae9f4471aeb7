//! The active rules for the API, one JSON object per rule.
//!
//! ```json
//! {"rule":"beacon","kind":"builtin","description":"…","severity":"medium","cooldown_ms":3600000,"fired":2,"evicted":0}
//! {"rule":"unusual_pair","kind":"profile","description":"…","severity":"low","cooldown_ms":3600000,"unusual":3}
//! {"rule":"port_scan","kind":"threshold","description":"…","severity":"medium","on":"connection","group_by":["src_ip"],
//!  "window_ms":60000,"mode":"sliding","needed":21,"cooldown_ms":600000,"matched":9,"ungrouped":0,"allowlisted":0,"late":0,
//!  "fired":0,"suppressed":0,"evicted":0,"groups":4,"bytes":1024}
//! ```
//!
//! `fired` of a built-in rule counts before its cooldown, of a threshold rule after it, as in the `stats` event;
//! `needed` is the least measure that fires. Disabled rules are left out.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::detect::builtin::{BuiltinRule, BuiltinStats};
use crate::detect::detectors::{ActiveContent, DetectorStats};
use crate::detect::profile;
use crate::detect::rules::{RuleDefinition, RuleEvent, RuleStats, WindowMode};
use crate::model::Severity;

/// Fields that all rules have, and those of their kind.
#[derive(Serialize)]
struct ActiveRuleLine<'a, T> {
    rule: &'a str,
    kind: &'static str,
    description: &'a str,
    severity: &'static str,
    #[serde(flatten)]
    more: T,
}

#[derive(Serialize)]
struct ActiveBuiltinRule {
    cooldown_ms: u64,
    fired: u64,
    evicted: u64,
}

#[derive(Serialize)]
struct ActiveProfileRule {
    cooldown_ms: u64,
    unusual: u64,
}

#[derive(Serialize)]
struct ActiveThresholdRule {
    on: &'static str,
    group_by: Vec<&'static str>,
    window_ms: u64,
    mode: &'static str,
    needed: u32,
    cooldown_ms: u64,
    #[serde(flatten)]
    counters: RuleStats,
}

pub(super) fn lines(active: &ActiveContent, stats: &DetectorStats) -> Vec<Bytes> {
    let mut lines = Vec::new();
    let ActiveContent { content, matcher } = active;
    let BuiltinStats { fired, evicted } = stats.builtin;
    for (rule, (fired, evicted)) in BuiltinRule::ALL.into_iter().zip(fired.into_iter().zip(evicted)) {
        let common = content.builtin.common(rule);
        if common.enabled {
            let more = ActiveBuiltinRule { cooldown_ms: milliseconds(common.cooldown.0), fired, evicted };
            lines.extend(line("builtin", (rule.name(), rule.description()), common.severity, more));
        }
    }
    let settings = &content.profiles;
    if settings.enabled {
        let more =
            ActiveProfileRule { cooldown_ms: milliseconds(settings.cooldown.0), unusual: stats.profiles.unusual };
        lines.extend(line("profile", (profile::RULE, profile::DESCRIPTION), settings.severity, more));
    }
    for (definition, (_, stats)) in matcher.definitions().zip(&stats.rules.by_rule) {
        let RuleDefinition { name, description, severity, .. } = definition;
        lines.extend(line("threshold", (name, description), *severity, threshold(definition, *stats)));
    }
    lines
}

fn threshold(definition: &RuleDefinition, counters: RuleStats) -> ActiveThresholdRule {
    ActiveThresholdRule {
        on: match definition.on {
            RuleEvent::Connection => "connection",
            RuleEvent::Fingerprint => "fingerprint",
        },
        group_by: definition.group_by.iter().map(|field| field.name()).collect(),
        window_ms: milliseconds(definition.window),
        mode: match definition.mode {
            WindowMode::Sliding => "sliding",
            WindowMode::Tumbling => "tumbling",
        },
        needed: definition.threshold.needed(),
        cooldown_ms: milliseconds(definition.cooldown),
        counters,
    }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Encodes a rule.
fn line(
    kind: &'static str,
    (rule, description): (&str, &str),
    severity: Severity,
    more: impl Serialize,
) -> Option<Bytes> {
    let line = ActiveRuleLine { rule, kind, description, severity: severity.name(), more };
    serde_json::to_vec(&line).ok().map(Bytes::from)
}
