//! Evaluation of the built-in rules.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use super::beacon::{BeaconMatch, BeaconTracker};
use super::many_ja4::{self, ManyJa4Settings, ManyJa4Tracker};
use super::new_chain::NewChainTracker;
use super::new_tunnel::{NewTunnelTracker, TunnelPath};
use super::pending_alerts::{NewValue, PendingAlerts};
use super::rare_value_spread::{RareValueSpreadSettings, RareValueSpreadTracker};
use super::rule::BuiltinRule;
use super::settings::BuiltinSettings;
use super::user_agent_mismatch::UserAgentTracker;
use crate::detect::allowlist::Allowlist;
use crate::detect::cooldown::Cooldowns;
use crate::detect::first_seen::Sighting;
use crate::model::field::HandshakeState;
use crate::model::{
    Alert, ConnectionRecord, FingerprintRecord, FlowIdentity, MAX_VALUES, Method, Severity, Side, Time, counter_set,
};

counter_set! {
    /// Counters of [`BuiltinRules`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct BuiltinStats as builtin {
        /// Firings of a built-in rule, before its cooldown.
        counter fired by rule of BuiltinRule,
        /// Entries of a built-in rule evicted.
        ///
        /// The first two rules have none.
        counter evicted by rule of BuiltinRule,
    }
}

/// The built-in rules with their state.
#[derive(Debug)]
pub struct BuiltinRules {
    settings: BuiltinSettings,
    /// Checked before a rule records a firing and before a cooldown begins, so that a suppressed firing suppresses no
    /// other.
    allowlist: Arc<Allowlist>,
    /// Names and descriptions, in the order of [`BuiltinRule::ALL`].
    names: [(Arc<str>, ArcStr); BuiltinRule::ALL.len()],
    seed: RandomState,
    new_tunnel: NewTunnelTracker,
    user_agent_mismatch: UserAgentTracker,
    many_ja4: ManyJa4Tracker,
    rare_value_spread: RareValueSpreadTracker,
    new_chain: NewChainTracker,
    beacon: BeaconTracker,
    /// New values collected for the alert of their connection.
    pending: PendingAlerts,
    fired: [u64; BuiltinRule::ALL.len()],
}

/// The event that a rule is evaluated on, and where its alert goes.
struct BuiltinContext<'a> {
    record: &'a ConnectionRecord,
    seen: Option<&'a FingerprintRecord>,
    now: Time,
    packet: Option<u64>,
    cooldowns: &'a mut Cooldowns,
    out: &'a mut Vec<Alert>,
}

/// Names and values of a group.
type GroupFields<'a> = &'a [(&'static str, &'a str)];

impl BuiltinRules {
    /// Returns rules without state. The settings are in range.
    #[must_use]
    pub fn new(settings: BuiltinSettings, allowlist: Arc<Allowlist>) -> Self {
        Self {
            settings,
            allowlist,
            names: BuiltinRule::ALL.map(|rule| (rule.name().into(), rule.description().into())),
            seed: RandomState::default(),
            new_tunnel: NewTunnelTracker::new(),
            user_agent_mismatch: UserAgentTracker::new(),
            many_ja4: ManyJa4Tracker::new(),
            rare_value_spread: RareValueSpreadTracker::new(),
            new_chain: NewChainTracker::new(),
            beacon: BeaconTracker::new(),
            pending: PendingAlerts::default(),
            fired: Default::default(),
        }
    }

    /// Replaces settings and allowlist; the rules keep their state.
    pub fn reload(&mut self, settings: BuiltinSettings, allowlist: Arc<Allowlist>) {
        self.settings = settings;
        self.allowlist = allowlist;
    }

    /// Evaluates the rules on a fingerprint. `record` is its connection as of now, with `tunnel` and `os` inferred
    /// already; `seen` may be in its history or not.
    #[expect(clippy::too_many_arguments, reason = "the caller holds them separately")]
    pub fn fingerprint(
        &mut self,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        sighting: Sighting,
        now: Time,
        packet: Option<u64>,
        cooldowns: &mut Cooldowns,
        out: &mut Vec<Alert>,
    ) {
        let mut context = BuiltinContext { record, seen: Some(seen), now, packet, cooldowns, out };
        self.evaluate_known_bad(seen, &mut context);
        self.evaluate_first_seen(seen, sighting, &mut context);
        match seen.method {
            Method::Ja4t => self.evaluate_new_tunnel(&mut context),
            Method::Ja4 => {
                self.evaluate_user_agent_mismatch(seen, &mut context);
                self.evaluate_many_ja4(seen, &mut context);
                self.evaluate_rare_value_spread(seen, sighting, &mut context);
            }
            Method::Ja4h => self.evaluate_user_agent_mismatch(seen, &mut context),
            _ => {}
        }
        // A connection has one hello, or two after a HelloRetryRequest, but any number of requests.
        if seen.method == Method::Ja4h || (seen.method == Method::Ja4 && seen.count == 1) {
            self.evaluate_beacon(seen, now, &mut context);
        }
    }

    /// Evaluates the rules on a connection that has ended.
    pub fn connection(
        &mut self,
        record: &ConnectionRecord,
        now: Time,
        packet: Option<u64>,
        cooldowns: &mut Cooldowns,
        out: &mut Vec<Alert>,
    ) {
        // The leaf comes first.
        let leaf = chain(record).next();
        self.evaluate_new_chain(BuiltinContext { record, seen: leaf, now, packet, cooldowns, out });
        if let Some(syn) = only_syn(record) {
            let mut context = BuiltinContext { record, seen: Some(syn), now, packet, cooldowns, out };
            self.evaluate_beacon(syn, record.start, &mut context);
        }
    }

    /// The current settings.
    #[must_use]
    pub const fn settings(&self) -> &BuiltinSettings {
        &self.settings
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> BuiltinStats {
        let evicted = BuiltinRule::ALL.map(|rule| match rule {
            BuiltinRule::KnownBad | BuiltinRule::FirstSeen => 0,
            BuiltinRule::NewTunnel => self.new_tunnel.evicted(),
            BuiltinRule::UserAgentMismatch => self.user_agent_mismatch.evicted(),
            BuiltinRule::ManyJa4 => self.many_ja4.evicted(),
            BuiltinRule::RareValueSpread => self.rare_value_spread.evicted(),
            BuiltinRule::NewChain => self.new_chain.evicted(),
            BuiltinRule::Beacon => self.beacon.evicted(),
        });
        BuiltinStats { fired: self.fired, evicted }
    }

    fn evaluate_known_bad(&mut self, seen: &FingerprintRecord, context: &mut BuiltinContext<'_>) {
        let Some(bad) = seen.known_bad.as_deref().filter(|_| self.settings.known_bad.enabled) else {
            return;
        };
        let client = context.record.identity.client.0;
        let Some(suppressed) = self.fire(BuiltinRule::KnownBad, &(client, seen.method, &*seen.value), context) else {
            return;
        };
        let reason = format!(
            "{} {} matches {}: {} ({}, confidence {})",
            seen.method.name(),
            seen.value,
            bad.pattern,
            bad.note,
            bad.category,
            bad.confidence
        );
        let group = [("src_ip", &*client.to_string()), (seen.method.name(), &*seen.value)];
        let mut alert = self.alert(BuiltinRule::KnownBad, &group, reason, suppressed, context);
        if bad.confidence < self.settings.known_bad.confidence {
            alert.severity = Severity::Low;
        }
        alert.category = Some(Arc::clone(&bad.category));
        alert.confidence = Some(bad.confidence);
        context.out.push(alert);
    }

    fn evaluate_first_seen(&mut self, seen: &FingerprintRecord, sighting: Sighting, context: &mut BuiltinContext<'_>) {
        let settings = &self.settings.first_seen;
        let for_host = sighting.first_for_host && settings.hosts;
        if !settings.enabled || !(sighting.first || for_host) {
            return;
        }
        let FlowIdentity { id, client, server, .. } = context.record.identity;
        let (address, _) = if seen.side == Side::Client { client } else { server };
        let host = (!sighting.first).then_some(address);
        // Allowlist and cooldown apply to each value separately.
        if let Some(suppressed) = self.fire(BuiltinRule::FirstSeen, &(host, seen.method, &*seen.value), context) {
            let new = NewValue { method: seen.method, value: ArcStr::clone(&seen.value), host };
            self.pending.add(id, context.now, context.packet, new, suppressed, seen.raw.as_ref());
        }
    }

    /// Returns a flow with a `first_seen` alert that is due: the one due for longest, or else `flow`.
    #[must_use]
    pub(crate) fn first_seen_due(&self, flow: Option<u64>, now: Time) -> Option<u64> {
        self.pending.due(flow, now)
    }

    /// Drops the new values of a flow without an alert.
    pub(crate) fn drop_first_seen(&mut self, flow: u64) {
        self.pending.take(flow);
    }

    /// Raises the pending `first_seen` alert of a connection, if it has one. `now` is the time of its end if it ends
    /// before the alert is due. Returns the raw form of the first value, if raw forms are output.
    pub(crate) fn raise_first_seen(
        &mut self,
        record: &ConnectionRecord,
        now: Time,
        out: &mut Vec<Alert>,
    ) -> Option<ArcStr> {
        let alert = self.pending.take(record.identity.id)?;
        let first = alert.values.first().filter(|_| self.settings.first_seen.enabled)?;
        let (client, server) = (record.identity.client.0.to_string(), record.identity.server.0.to_string());
        let (name, description) = self.names.get(BuiltinRule::FirstSeen as usize).cloned().unwrap_or_default();
        out.push(Alert {
            time: alert.due().min(now.max(alert.since)),
            packet: alert.packet,
            rule: name,
            description,
            severity: self.settings.first_seen.severity,
            group: vec![("src_ip".into(), client.into()), ("dest_ip".into(), server.into())],
            reason: alert.reason(),
            flow: Some(record.identity),
            interface: Some(record.interface),
            fingerprint: Some((first.method, ArcStr::clone(&first.value))),
            category: None,
            confidence: None,
            suppressed: alert.suppressed,
        });
        alert.raw
    }

    fn evaluate_new_tunnel(&mut self, context: &mut BuiltinContext<'_>) {
        let Self { settings, new_tunnel, allowlist, fired, .. } = self;
        let (identity, tunnel) = (&context.record.identity, context.record.tunnel());
        if !settings.new_tunnel.enabled {
            return;
        }
        let (client, server) = (identity.client.0, identity.server.0);
        let is_allowlisted = || count_firing(fired, allowlist, BuiltinRule::NewTunnel, context);
        let Some(found) = new_tunnel.observe(&settings.new_tunnel, client, server, tunnel, is_allowlisted) else {
            return;
        };
        let (Some(suppressed), Some(tunnel)) =
            (self.check_cooldown(BuiltinRule::NewTunnel, &found.path, context), tunnel)
        else {
            return;
        };
        let reason = format!(
            "MTU {} indicates {} (confidence {}) after {} connections without a tunnel (threshold: {})",
            tunnel.mtu, tunnel.name, tunnel.confidence, found.untunneled, self.settings.new_tunnel.observations,
        );
        let mut alert = match found.path {
            TunnelPath::Pair(client, server) => {
                let (client, server) = (client.to_string(), server.to_string());
                let group = [("src_ip", &*client), ("dest_ip", &*server)];
                self.alert(BuiltinRule::NewTunnel, &group, reason, suppressed, context)
            }
            TunnelPath::Network(network) => {
                self.alert(BuiltinRule::NewTunnel, &[("src_net", &network.to_string())], reason, suppressed, context)
            }
        };
        alert.confidence = Some(tunnel.confidence);
        context.out.push(alert);
    }

    fn evaluate_user_agent_mismatch(&mut self, seen: &FingerprintRecord, context: &mut BuiltinContext<'_>) {
        let settings = &self.settings.user_agent_mismatch;
        let ConnectionRecord { identity, attributes, .. } = context.record;
        let (client, server) = (identity.client.0, identity.server.0);
        if !settings.enabled {
            return;
        }
        let found = if seen.method == Method::Ja4 {
            self.user_agent_mismatch.observe_ja4(
                settings,
                client,
                server,
                &seen.value,
                seen.label.as_ref(),
                context.now,
            )
        } else {
            let text = attributes.http.as_ref().and_then(|http| http.user_agent.as_deref());
            text.and_then(|text| {
                self.user_agent_mismatch.observe_user_agent(
                    settings,
                    client,
                    server,
                    text,
                    context.record.os(),
                    context.now,
                )
            })
        };
        if let Some(found) = found
            && let Some(suppressed) = self.fire(BuiltinRule::UserAgentMismatch, &client, context)
        {
            let group = [("src_ip", &*client.to_string())];
            let alert = self.alert(BuiltinRule::UserAgentMismatch, &group, found.0, suppressed, context);
            context.out.push(alert);
        }
    }

    fn evaluate_many_ja4(&mut self, seen: &FingerprintRecord, context: &mut BuiltinContext<'_>) {
        let settings = &self.settings.many_ja4;
        let client = context.record.identity.client.0;
        if !settings.enabled {
            return;
        }
        let value = self.seed.hash_one(&*seen.value);
        let found = self.many_ja4.observe(settings, client, value, context.now);
        if let Some(number) = found
            && let Some(suppressed) = self.fire(BuiltinRule::ManyJa4, &client, context)
        {
            let ManyJa4Settings { threshold, window, .. } = &self.settings.many_ja4;
            let at_least = if number as u32 >= many_ja4::MAX_VALUES { "at least " } else { "" };
            let reason = format!("{at_least}{number} different JA4 within {window} (threshold: more than {threshold})");
            let group = [("src_ip", &*client.to_string())];
            let alert = self.alert(BuiltinRule::ManyJa4, &group, reason, suppressed, context);
            context.out.push(alert);
        }
    }

    fn evaluate_rare_value_spread(
        &mut self,
        seen: &FingerprintRecord,
        sighting: Sighting,
        context: &mut BuiltinContext<'_>,
    ) {
        let Self { settings, rare_value_spread, seed, allowlist, fired, .. } = self;
        let settings = &settings.rare_value_spread;
        let is_rare = seen.label.is_none() || seen.known_bad.is_some();
        let Some(since) = sighting.new_since.filter(|_| settings.enabled && is_rare) else {
            return;
        };
        let value = seed.hash_one((seen.method, &*seen.value));
        let client = seed.hash_one(context.record.identity.client.0);
        let is_allowlisted = || count_firing(fired, allowlist, BuiltinRule::RareValueSpread, context);
        let found = rare_value_spread.observe(settings, value, client, since, context.now, is_allowlisted);
        if let Some(hosts) = found
            && let Some(suppressed) =
                self.check_cooldown(BuiltinRule::RareValueSpread, &(seen.method, &*seen.value), context)
        {
            let RareValueSpreadSettings { hosts: threshold, window, rare_for, .. } = &self.settings.rare_value_spread;
            let (method, value) = (seen.method.name(), &*seen.value);
            let reason = format!(
                "{method} {value}, first seen on this network within {rare_for}, came from {hosts} clients within {window} \
                 (threshold: {threshold})"
            );
            let alert = self.alert(BuiltinRule::RareValueSpread, &[(method, value)], reason, suppressed, context);
            context.out.push(alert);
        }
    }

    fn evaluate_new_chain(&mut self, mut context: BuiltinContext<'_>) {
        let Self { settings, new_chain, seed, allowlist, fired, .. } = self;
        let settings = &settings.new_chain;
        let record = context.record;
        let sni = record.attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let Some(sni) = sni.filter(|_| settings.enabled) else {
            return;
        };
        // The hash of each prefix of the chain covers the hash of the shorter prefix and the next value.
        let (mut hashes, mut length, mut hash) = ([0; MAX_VALUES], 0, 0_u64);
        for (seen, prefix) in chain(record).zip(&mut hashes) {
            hash = seed.hash_one((hash, &*seen.value));
            *prefix = hash;
            length += 1;
        }
        let prefixes = hashes.get(..length).unwrap_or_default();
        let is_allowlisted = || {
            let values = chain(record).map(|seen| (seen.method, &*seen.value));
            count_firing_of(fired, allowlist, BuiltinRule::NewChain, record, values)
        };
        let Some(before) = new_chain.observe(settings, sni, prefixes, is_allowlisted) else {
            return;
        };
        if let Some(suppressed) = self.check_cooldown(BuiltinRule::NewChain, &sni, &mut context) {
            let chain = chain(record).map(|seen| &*seen.value).collect::<Vec<_>>().join(", ");
            let threshold = self.settings.new_chain.observations;
            let reason = format!(
                "{length} certificates for {sni} have JA4X {chain}; {before} earlier chains had other shapes \
                 (threshold: {threshold})"
            );
            let alert = self.alert(BuiltinRule::NewChain, &[("tls.sni", sni)], reason, suppressed, &context);
            context.out.push(alert);
        }
    }

    /// `beat` is the time of the sighting.
    fn evaluate_beacon(&mut self, seen: &FingerprintRecord, beat: Time, context: &mut BuiltinContext<'_>) {
        let settings = &self.settings.beacon;
        let identity = &context.record.identity;
        if !settings.enabled {
            return;
        }
        let (client, server): (IpAddr, _) = (identity.client.0, identity.server);
        let key = (client, server, self.seed.hash_one((seen.method, &*seen.value)));
        let Some(found) = self.beacon.observe(settings, key, beat) else {
            return;
        };
        let Some(suppressed) = self.fire(BuiltinRule::Beacon, &(client, server, seen.method, &*seen.value), context)
        else {
            return;
        };
        let BeaconMatch { intervals, mean, variation } = found;
        let threshold = self.settings.beacon.variation;
        let reason = format!(
            "{intervals} intervals of {mean:.1} s on average with a coefficient of variation of {variation:.3} (threshold: at \
             most {threshold})"
        );
        let (client, server, port) = (client.to_string(), server.0.to_string(), server.1.to_string());
        let group: GroupFields<'_> =
            &[("src_ip", &client), ("dest_ip", &server), ("dest_port", &port), (seen.method.name(), &seen.value)];
        let alert = self.alert(BuiltinRule::Beacon, group, reason, suppressed, context);
        context.out.push(alert);
    }

    /// Counts a firing. Returns `None` if the allowlist or a cooldown suppresses it.
    fn fire(&mut self, rule: BuiltinRule, group: &impl Hash, context: &mut BuiltinContext<'_>) -> Option<u64> {
        if count_firing(&mut self.fired, &self.allowlist, rule, context) {
            return None;
        }
        self.check_cooldown(rule, group, context)
    }

    /// Returns `None` if a cooldown suppresses a firing, else the number of firings that it suppressed before.
    fn check_cooldown(&self, rule: BuiltinRule, group: &impl Hash, context: &mut BuiltinContext<'_>) -> Option<u64> {
        let cooldown = self.settings.common(rule).cooldown.0;
        context.cooldowns.check(rule.name(), group, context.now, cooldown)
    }

    fn alert(
        &self,
        rule: BuiltinRule,
        group: GroupFields<'_>,
        reason: String,
        suppressed: u64,
        context: &BuiltinContext<'_>,
    ) -> Alert {
        let (name, description) = self.names.get(rule as usize).cloned().unwrap_or_default();
        Alert {
            time: context.now,
            packet: context.packet,
            rule: name,
            description,
            severity: self.settings.common(rule).severity,
            group: group.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            reason,
            flow: Some(context.record.identity),
            interface: Some(context.record.interface),
            fingerprint: context.seen.map(|seen| (seen.method, ArcStr::clone(&seen.value))),
            category: None,
            confidence: None,
            suppressed,
        }
    }
}

/// Counts a firing. Returns whether the allowlist suppresses it.
fn count_firing(
    fired: &mut [u64; BuiltinRule::ALL.len()],
    allowlist: &Allowlist,
    rule: BuiltinRule,
    context: &BuiltinContext<'_>,
) -> bool {
    count_firing_of(fired, allowlist, rule, context.record, context.seen.map(|seen| (seen.method, &*seen.value)))
}

/// Counts a firing about several fingerprints. Returns whether the allowlist suppresses it for any of them.
fn count_firing_of<'v>(
    fired: &mut [u64; BuiltinRule::ALL.len()],
    allowlist: &Allowlist,
    rule: BuiltinRule,
    record: &ConnectionRecord,
    fingerprints: impl IntoIterator<Item = (Method, &'v str)>,
) -> bool {
    if let Some(fired) = fired.get_mut(rule as usize) {
        *fired += 1;
    }
    allowlist.suppresses(rule.name(), record, fingerprints)
}

/// Returns the JA4T of an established TCP connection if it is the client's only fingerprint. A connection that a RST
/// ended before it carried data is a probe.
fn only_syn(record: &ConnectionRecord) -> Option<&FingerprintRecord> {
    let is_established = record.latency().client.is_some() && HandshakeState::of(record) != HandshakeState::Failed;
    record.primary().filter(|seen| is_established && seen.method == Method::Ja4t)
}

/// The JA4X values of the server's certificates, leaf first; the client may have sent its own.
fn chain(record: &ConnectionRecord) -> impl Iterator<Item = &FingerprintRecord> {
    record.history.iter().filter(|seen| seen.method == Method::Ja4x && seen.side == Side::Server)
}

#[cfg(test)]
mod tests;
