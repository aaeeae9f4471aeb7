//! Evaluation of the built-in rules.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use super::beacon::{BeaconMatch, BeaconTracker};
use super::many_ja4::{self, ManyJa4Settings, ManyJa4Tracker};
use super::new_chain::NewChainTracker;
use super::new_tunnel::{self, NewTunnelTracker, TunnelPath};
use super::pending_alerts::NewValue;
use super::rare_value_spread::{RareValueSpreadSettings, RareValueSpreadTracker};
use super::rule::BuiltinRule;
use super::settings::{BuiltinSettings, FirstSeenRuleSettings};
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
    pub struct BuiltinStats as builtin: AddCounters {
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
    fired: [u64; BuiltinRule::ALL.len()],
}

/// The event that a rule is evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuiltinEvent<'a> {
    /// The connection as of the event.
    pub(crate) record: &'a ConnectionRecord,
    /// The fingerprint; `None`: the connection has ended.
    pub(crate) seen: Option<&'a FingerprintRecord>,
    /// What was known of the fingerprint's value.
    pub(crate) sighting: Sighting,
    /// Time of the event.
    pub(crate) now: Time,
    /// Number of the packet in a replay.
    pub(crate) packet: Option<u64>,
}

/// An event with the cooldowns that apply to it.
struct BuiltinContext<'a> {
    event: BuiltinEvent<'a>,
    cooldowns: &'a mut Cooldowns,
}

impl<'a> Deref for BuiltinContext<'a> {
    type Target = BuiltinEvent<'a>;

    fn deref(&self) -> &BuiltinEvent<'a> {
        &self.event
    }
}

/// The result of a rule that fires.
#[derive(Debug)]
pub(crate) enum BuiltinOutcome {
    /// An alert.
    Alert(Alert),
    /// A value for the next `first_seen` alert of the connection, with the number of firings that a cooldown suppressed.
    NewValue(NewValue, u64),
}

/// Names and values of a group.
type GroupFields<'a> = &'a [(&'static str, &'a str)];

impl BuiltinRules {
    /// Returns rules without state. The settings are in range.
    #[must_use]
    pub fn new(settings: BuiltinSettings, allowlist: Arc<Allowlist>) -> Self {
        Self::part(settings, allowlist, 1)
    }

    /// Returns rules without state for one of `parts` equal parts of all keys.
    pub(crate) fn part(settings: BuiltinSettings, allowlist: Arc<Allowlist>, parts: usize) -> Self {
        Self {
            settings,
            allowlist,
            names: BuiltinRule::ALL.map(|rule| (rule.name().into(), rule.description().into())),
            seed: RandomState::default(),
            new_tunnel: NewTunnelTracker::new(parts),
            user_agent_mismatch: UserAgentTracker::new(parts),
            many_ja4: ManyJa4Tracker::new(parts),
            rare_value_spread: RareValueSpreadTracker::new(parts),
            new_chain: NewChainTracker::new(parts),
            beacon: BeaconTracker::new(parts),
            fired: Default::default(),
        }
    }

    /// Replaces settings and allowlist; the rules keep their state.
    pub fn reload(&mut self, settings: BuiltinSettings, allowlist: Arc<Allowlist>) {
        self.settings = settings;
        self.allowlist = allowlist;
    }

    /// Evaluates a rule on an event that [`BuiltinSettings::concerned`] returned it for. All events of one key must be
    /// evaluated by the same instance.
    pub(crate) fn evaluate(
        &mut self,
        rule: BuiltinRule,
        event: &BuiltinEvent<'_>,
        cooldowns: &mut Cooldowns,
    ) -> Option<BuiltinOutcome> {
        let context = &mut BuiltinContext { event: *event, cooldowns };
        let alert = match (rule, event.seen) {
            (BuiltinRule::FirstSeen, Some(seen)) => return self.evaluate_first_seen(seen, context),
            (BuiltinRule::KnownBad, Some(seen)) => self.evaluate_known_bad(seen, context),
            (BuiltinRule::NewTunnel, _) => self.evaluate_new_tunnel(context),
            (BuiltinRule::UserAgentMismatch, Some(seen)) => self.evaluate_user_agent_mismatch(seen, context),
            (BuiltinRule::ManyJa4, Some(seen)) => self.evaluate_many_ja4(seen, context),
            (BuiltinRule::RareValueSpread, Some(seen)) => self.evaluate_rare_value_spread(seen, context),
            (BuiltinRule::Beacon, Some(seen)) => self.evaluate_beacon(seen, event.now, context),
            (BuiltinRule::Beacon, None) => only_syn(event.record).and_then(|syn| {
                context.event.seen = Some(syn);
                self.evaluate_beacon(syn, event.record.start, context)
            }),
            (BuiltinRule::NewChain, _) => {
                // The leaf comes first.
                context.event.seen = chain(event.record).next();
                self.evaluate_new_chain(context)
            }
            (BuiltinRule::FirstSeen | BuiltinRule::KnownBad, None)
            | (BuiltinRule::UserAgentMismatch | BuiltinRule::ManyJa4 | BuiltinRule::RareValueSpread, None) => None,
        };
        alert.map(BuiltinOutcome::Alert)
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

    fn evaluate_known_bad(&mut self, seen: &FingerprintRecord, context: &mut BuiltinContext<'_>) -> Option<Alert> {
        let bad = seen.value.known_bad.as_deref().filter(|_| self.settings.known_bad.enabled)?;
        let client = context.record.identity.client.0;
        let suppressed = self.fire(BuiltinRule::KnownBad, &(client, seen.method, &*seen.value.text), context)?;
        let reason = format!(
            "{} {} matches {}: {} ({}, confidence {})",
            seen.method.name(),
            seen.value.text,
            bad.pattern,
            bad.note,
            bad.category,
            bad.confidence
        );
        let group = [("src_ip", &*client.to_string()), (seen.method.name(), &*seen.value.text)];
        let mut alert = self.alert(BuiltinRule::KnownBad, &group, reason, suppressed, context);
        if bad.confidence < self.settings.known_bad.confidence {
            alert.severity = Severity::Low;
        }
        alert.category = Some(Arc::clone(&bad.category));
        alert.confidence = Some(bad.confidence);
        Some(alert)
    }

    fn evaluate_first_seen(
        &mut self,
        seen: &FingerprintRecord,
        context: &mut BuiltinContext<'_>,
    ) -> Option<BuiltinOutcome> {
        let host = new_to(&self.settings.first_seen, seen, context)?;
        // Allowlist and cooldown apply to each value separately.
        let suppressed = self.fire(BuiltinRule::FirstSeen, &(host, seen.method, &*seen.value.text), context)?;
        let new = NewValue { method: seen.method, value: ArcStr::clone(&seen.value.text), host };
        Some(BuiltinOutcome::NewValue(new, suppressed))
    }

    fn evaluate_new_tunnel(&mut self, context: &mut BuiltinContext<'_>) -> Option<Alert> {
        let Self { settings, new_tunnel, allowlist, fired, .. } = self;
        let (identity, tunnel) = (&context.record.identity, context.record.tunnel());
        if !settings.new_tunnel.enabled {
            return None;
        }
        let (client, server) = (identity.client.0, identity.server.0);
        let is_allowlisted = || count_firing(fired, allowlist, BuiltinRule::NewTunnel, context);
        let found = new_tunnel.observe(&settings.new_tunnel, client, server, tunnel, is_allowlisted)?;
        let (Some(suppressed), Some(tunnel)) =
            (self.check_cooldown(BuiltinRule::NewTunnel, &found.path, context), tunnel)
        else {
            return None;
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
        Some(alert)
    }

    fn evaluate_user_agent_mismatch(
        &mut self,
        seen: &FingerprintRecord,
        context: &mut BuiltinContext<'_>,
    ) -> Option<Alert> {
        let settings = &self.settings.user_agent_mismatch;
        let ConnectionRecord { identity, attributes, .. } = context.record;
        let (client, server) = (identity.client.0, identity.server.0);
        if !settings.enabled {
            return None;
        }
        let found = if seen.method == Method::Ja4 {
            self.user_agent_mismatch.observe_ja4(
                settings,
                client,
                server,
                &seen.value.text,
                seen.value.label.as_ref(),
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
            return Some(self.alert(BuiltinRule::UserAgentMismatch, &group, found.0, suppressed, context));
        }
        None
    }

    fn evaluate_many_ja4(&mut self, seen: &FingerprintRecord, context: &mut BuiltinContext<'_>) -> Option<Alert> {
        let settings = &self.settings.many_ja4;
        let client = context.record.identity.client.0;
        if !settings.enabled {
            return None;
        }
        let value = self.seed.hash_one(&*seen.value.text);
        let found = self.many_ja4.observe(settings, client, value, context.now);
        if let Some(number) = found
            && let Some(suppressed) = self.fire(BuiltinRule::ManyJa4, &client, context)
        {
            let ManyJa4Settings { threshold, window, .. } = &self.settings.many_ja4;
            let at_least = if number as u32 >= many_ja4::MAX_VALUES { "at least " } else { "" };
            let reason = format!("{at_least}{number} different JA4 within {window} (threshold: more than {threshold})");
            let group = [("src_ip", &*client.to_string())];
            return Some(self.alert(BuiltinRule::ManyJa4, &group, reason, suppressed, context));
        }
        None
    }

    fn evaluate_rare_value_spread(
        &mut self,
        seen: &FingerprintRecord,
        context: &mut BuiltinContext<'_>,
    ) -> Option<Alert> {
        let Self { settings, rare_value_spread, seed, allowlist, fired, .. } = self;
        let settings = &settings.rare_value_spread;
        let since = context.sighting.new_since.filter(|_| settings.enabled && is_rare(seen))?;
        let value = seed.hash_one((seen.method, &*seen.value.text));
        let client = seed.hash_one(context.record.identity.client.0);
        let is_allowlisted = || count_firing(fired, allowlist, BuiltinRule::RareValueSpread, context);
        let found = rare_value_spread.observe(settings, value, client, since, context.now, is_allowlisted);
        if let Some(hosts) = found
            && let Some(suppressed) =
                self.check_cooldown(BuiltinRule::RareValueSpread, &(seen.method, &*seen.value.text), context)
        {
            let RareValueSpreadSettings { hosts: threshold, window, rare_for, .. } = &self.settings.rare_value_spread;
            let (method, value) = (seen.method.name(), &*seen.value.text);
            let reason = format!(
                "{method} {value}, first seen on this network within {rare_for}, came from {hosts} clients within {window} \
                 (threshold: {threshold})"
            );
            return Some(self.alert(BuiltinRule::RareValueSpread, &[(method, value)], reason, suppressed, context));
        }
        None
    }

    fn evaluate_new_chain(&mut self, context: &mut BuiltinContext<'_>) -> Option<Alert> {
        let Self { settings, new_chain, seed, allowlist, fired, .. } = self;
        let settings = &settings.new_chain;
        let record = context.record;
        let sni = sni(record).filter(|_| settings.enabled)?;
        // The hash of each prefix of the chain covers the hash of the shorter prefix and the next value.
        let (mut hashes, mut length, mut hash) = ([0; MAX_VALUES], 0, 0_u64);
        for (seen, prefix) in chain(record).zip(&mut hashes) {
            hash = seed.hash_one((hash, &*seen.value.text));
            *prefix = hash;
            length += 1;
        }
        let prefixes = hashes.get(..length).unwrap_or_default();
        let is_allowlisted = || {
            let values = chain(record).map(|seen| (seen.method, &*seen.value.text));
            count_firing_of(fired, allowlist, BuiltinRule::NewChain, record, values)
        };
        let before = new_chain.observe(settings, sni, prefixes, is_allowlisted)?;
        if let Some(suppressed) = self.check_cooldown(BuiltinRule::NewChain, &sni, context) {
            let chain = chain(record).map(|seen| &*seen.value.text).collect::<Vec<_>>().join(", ");
            let threshold = self.settings.new_chain.observations;
            let reason = format!(
                "{length} certificates for {sni} have JA4X {chain}; {before} earlier chains had other shapes \
                 (threshold: {threshold})"
            );
            return Some(self.alert(BuiltinRule::NewChain, &[("tls.sni", sni)], reason, suppressed, context));
        }
        None
    }

    /// `beat` is the time of the sighting.
    fn evaluate_beacon(
        &mut self,
        seen: &FingerprintRecord,
        beat: Time,
        context: &mut BuiltinContext<'_>,
    ) -> Option<Alert> {
        let settings = &self.settings.beacon;
        let identity = &context.record.identity;
        if !settings.enabled {
            return None;
        }
        let (client, server): (IpAddr, _) = (identity.client.0, identity.server);
        let key = (client, server, self.seed.hash_one((seen.method, &*seen.value.text)));
        let found = self.beacon.observe(settings, key, beat)?;
        let suppressed = self.fire(BuiltinRule::Beacon, &(client, server, seen.method, &*seen.value.text), context)?;
        let BeaconMatch { intervals, mean, variation } = found;
        let threshold = self.settings.beacon.variation;
        let reason = format!(
            "{intervals} intervals of {mean:.1} s on average with a coefficient of variation of {variation:.3} (threshold: at \
             most {threshold})"
        );
        let (client, server, port) = (client.to_string(), server.0.to_string(), server.1.to_string());
        let group: GroupFields<'_> =
            &[("src_ip", &client), ("dest_ip", &server), ("dest_port", &port), (seen.method.name(), &seen.value.text)];
        Some(self.alert(BuiltinRule::Beacon, group, reason, suppressed, context))
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
        let (cooldown, now) = (self.settings.common(rule).cooldown.0, context.now);
        context.cooldowns.check(rule.name(), group, now, cooldown)
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
            sid: None,
            description,
            severity: self.settings.common(rule).severity,
            group: group.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            reason,
            flow: Some(context.record.identity),
            interface: Some(context.record.interface),
            fingerprint: context.seen.map(|seen| (seen.method, ArcStr::clone(&seen.value.text))),
            category: None,
            confidence: None,
            suppressed,
        }
    }
}

impl BuiltinSettings {
    /// Calls `found` with each enabled rule that an event concerns, and a hash of the key of the rule's state. Events that a
    /// rule is not evaluated on change no state of it.
    pub(crate) fn concerned(
        &self,
        event: &BuiltinEvent<'_>,
        hasher: &impl BuildHasher,
        mut found: impl FnMut(BuiltinRule, u64),
    ) {
        let identity = &event.record.identity;
        let client = identity.client.0;
        let beacon =
            |seen: &FingerprintRecord| hasher.hash_one((client, identity.server, seen.method, &*seen.value.text));
        let Some(seen) = event.seen else {
            if self.new_chain.enabled
                && let Some(sni) = sni(event.record)
            {
                found(BuiltinRule::NewChain, hasher.hash_one(sni));
            }
            if self.beacon.enabled
                && let Some(syn) = only_syn(event.record)
            {
                found(BuiltinRule::Beacon, beacon(syn));
            }
            return;
        };
        if self.known_bad.enabled && seen.value.known_bad.is_some() {
            found(BuiltinRule::KnownBad, hasher.hash_one((client, seen.method, &*seen.value.text)));
        }
        if let Some(host) = new_to(&self.first_seen, seen, event) {
            found(BuiltinRule::FirstSeen, hasher.hash_one((host, seen.method, &*seen.value.text)));
        }
        if seen.method == Method::Ja4t && self.new_tunnel.enabled {
            found(BuiltinRule::NewTunnel, hasher.hash_one(new_tunnel::network(client)));
        }
        if matches!(seen.method, Method::Ja4 | Method::Ja4h) && self.user_agent_mismatch.enabled {
            found(BuiltinRule::UserAgentMismatch, hasher.hash_one(client));
        }
        if seen.method == Method::Ja4 {
            if self.many_ja4.enabled {
                found(BuiltinRule::ManyJa4, hasher.hash_one(client));
            }
            if self.rare_value_spread.enabled && event.sighting.new_since.is_some() && is_rare(seen) {
                found(BuiltinRule::RareValueSpread, hasher.hash_one((seen.method, &*seen.value.text)));
            }
        }
        // A connection has one hello, or two after a HelloRetryRequest, but any number of requests.
        let is_beat = seen.method == Method::Ja4h || (seen.method == Method::Ja4 && seen.count() == 1);
        if is_beat && self.beacon.enabled {
            found(BuiltinRule::Beacon, beacon(seen));
        }
    }
}

/// Returns the host that a value is new to, or `Some(None)` if it is new to the network; `None`: neither, or no alert is
/// raised about it.
fn new_to(
    settings: &FirstSeenRuleSettings,
    seen: &FingerprintRecord,
    event: &BuiltinEvent<'_>,
) -> Option<Option<IpAddr>> {
    let Sighting { first, first_for_host, .. } = event.sighting;
    if !settings.enabled || !(first || first_for_host && settings.hosts) {
        return None;
    }
    let FlowIdentity { client, server, .. } = event.record.identity;
    let (address, _) = if seen.side() == Side::Client { client } else { server };
    Some((!first).then_some(address))
}

/// Whether a value may be rare: it names no ordinary software.
fn is_rare(seen: &FingerprintRecord) -> bool {
    seen.value.label.is_none() || seen.value.known_bad.is_some()
}

/// The server name of a connection.
fn sni(record: &ConnectionRecord) -> Option<&str> {
    record.attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref())
}

/// Counts a firing. Returns whether the allowlist suppresses it.
fn count_firing(
    fired: &mut [u64; BuiltinRule::ALL.len()],
    allowlist: &Allowlist,
    rule: BuiltinRule,
    context: &BuiltinContext<'_>,
) -> bool {
    count_firing_of(fired, allowlist, rule, context.record, context.seen.map(|seen| (seen.method, &*seen.value.text)))
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
    record.history.iter().filter(|seen| seen.method == Method::Ja4x && seen.side() == Side::Server)
}

#[cfg(test)]
mod tests;
