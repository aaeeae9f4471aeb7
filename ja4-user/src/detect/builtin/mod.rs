//! Rules that are more than a threshold over a window: each has a memory of its own.
//!
//! | rule | looks at | group |
//! |---|---|---|
//! | `known_bad` | every fingerprint | client, value |
//! | `first_seen` | every fingerprint; one alert for the new values of a connection within a second | client, server |
//! | `new_tunnel` | JA4T | pair, or source network |
//! | `user_agent_mismatch` | JA4, JA4H | client |
//! | `many_ja4` | JA4 | client |
//! | `rare_value_spread` | JA4 | value |
//! | `new_chain` | the JA4Xs of a connection, at its end | server name |
//! | `beacon` | the first JA4, every JA4H; the JA4T of a connection without them, at its end | client, server, port, value |

mod agent;
mod beacon;
mod chain;
mod many;
mod pending;
mod rule;
mod settings;
mod spread;
#[cfg(test)]
pub(in crate::detect) mod testing;
mod tunnel;
mod values;

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use self::pending::NewValue;
pub use self::rule::Rule;
pub use self::settings::{
    Beacon, Common, FirstSeen, KnownBad, ManyJa4, NewChain, NewTunnel, RareValueSpread, Settings, UserAgentMismatch,
};
use self::tunnel::Place;
use super::Allow;
use super::cooldown::Cooldowns;
use super::first_seen::Sighting;
use crate::model::field::Handshake;
use crate::model::{
    Alert, ConnectionRecord, FingerprintRecord, FlowIdentity, MAX_VALUES, Method, Severity, Side, Time,
};

/// Counters of [`Builtin`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuiltinStats {
    /// Firings of each rule before cooldown, in the order of [`Rule::ALL`].
    pub fired: [u64; Rule::ALL.len()],
    /// Entries of each rule's memory that had to go for others, likewise. The first two keep none.
    pub evicted: [u64; Rule::ALL.len()],
}

/// The rules with what they remember.
#[derive(Debug)]
pub struct Builtin {
    settings: Settings,
    /// What is left in peace; asked before a rule takes to memory what it has told, and before a cooldown begins, so
    /// that it hides nothing else.
    allow: Arc<Allow>,
    /// Names and descriptions, in the order of [`Rule::ALL`].
    words: [(Arc<str>, ArcStr); Rule::ALL.len()],
    seed: RandomState,
    tunnels: tunnel::NewTunnel,
    agents: agent::Agents,
    many: many::ManyJa4,
    spread: spread::Spread,
    chains: chain::Chains,
    beacons: beacon::Beacons,
    /// New values that wait for their connection's alert.
    pending: pending::Pending,
    fired: [u64; Rule::ALL.len()],
}

/// What an alert is made of beside what its rule says.
struct Scene<'a> {
    record: &'a ConnectionRecord,
    seen: Option<&'a FingerprintRecord>,
    now: Time,
    packet: Option<u64>,
    cooldowns: &'a mut Cooldowns,
    out: &'a mut Vec<Alert>,
}

/// Names and values of a group.
type Group<'a> = &'a [(&'static str, &'a str)];

impl Builtin {
    /// Rules that remember nothing yet. The settings have passed [`Settings::check`].
    #[must_use]
    pub fn new(settings: Settings, allow: Arc<Allow>) -> Self {
        Self {
            settings,
            allow,
            words: Rule::ALL.map(|rule| (rule.name().into(), rule.description().into())),
            seed: RandomState::default(),
            tunnels: tunnel::NewTunnel::new(),
            agents: agent::Agents::new(),
            many: many::ManyJa4::new(),
            spread: spread::Spread::new(),
            chains: chain::Chains::new(),
            beacons: beacon::Beacons::new(),
            pending: pending::Pending::default(),
            fired: Default::default(),
        }
    }

    /// Other settings and another allowlist from now on; what the rules remember stays.
    pub fn reload(&mut self, settings: Settings, allow: Arc<Allow>) {
        self.settings = settings;
        self.allow = allow;
    }

    /// Evaluates the rules over a fingerprint. `record` is its connection as known now, with `tunnel` and `os` told
    /// already; whether `seen` is in its history makes no difference.
    #[expect(clippy::too_many_arguments, reason = "each is another thing; the caller has them apart")]
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
        let mut scene = Scene { record, seen: Some(seen), now, packet, cooldowns, out };
        self.known_bad(seen, &mut scene);
        self.first_seen(seen, sighting, &mut scene);
        match seen.method {
            Method::Ja4t => self.new_tunnel(&mut scene),
            Method::Ja4 => {
                self.user_agent_mismatch(seen, &mut scene);
                self.many_ja4(seen, &mut scene);
                self.rare_value_spread(seen, sighting, &mut scene);
            }
            Method::Ja4h => self.user_agent_mismatch(seen, &mut scene),
            _ => {}
        }
        // A connection has one hello, and maybe another that the server asked for, but any number of requests.
        if seen.method == Method::Ja4h || (seen.method == Method::Ja4 && seen.count == 1) {
            self.beacon(seen, now, &mut scene);
        }
    }

    /// Evaluates the rules over a connection that has ended.
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
        self.new_chain(Scene { record, seen: leaf, now, packet, cooldowns, out });
        if let Some(opening) = bare(record) {
            let mut scene = Scene { record, seen: Some(opening), now, packet, cooldowns, out };
            self.beacon(opening, record.start, &mut scene);
        }
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> BuiltinStats {
        let evicted = Rule::ALL.map(|rule| match rule {
            Rule::KnownBad | Rule::FirstSeen => 0,
            Rule::NewTunnel => self.tunnels.evicted(),
            Rule::UserAgentMismatch => self.agents.evicted(),
            Rule::ManyJa4 => self.many.evicted(),
            Rule::RareValueSpread => self.spread.evicted(),
            Rule::NewChain => self.chains.evicted(),
            Rule::Beacon => self.beacons.evicted(),
        });
        BuiltinStats { fired: self.fired, evicted }
    }

    fn known_bad(&mut self, seen: &FingerprintRecord, scene: &mut Scene<'_>) {
        let Some(bad) = seen.known_bad.as_deref().filter(|_| self.settings.known_bad.enabled) else {
            return;
        };
        let client = scene.record.identity.client.0;
        let Some(suppressed) = self.fire(Rule::KnownBad, &(client, seen.method, &*seen.value), scene) else {
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
        let mut alert = self.alert(Rule::KnownBad, &group, reason, suppressed, scene);
        if bad.confidence < self.settings.known_bad.confidence {
            alert.severity = Severity::Low;
        }
        alert.category = Some(Arc::clone(&bad.category));
        alert.confidence = Some(bad.confidence);
        scene.out.push(alert);
    }

    fn first_seen(&mut self, seen: &FingerprintRecord, sighting: Sighting, scene: &mut Scene<'_>) {
        let settings = &self.settings.first_seen;
        let for_host = sighting.first_for_host && settings.hosts;
        if !settings.enabled || !(sighting.first || for_host) {
            return;
        }
        let FlowIdentity { id, client, server, .. } = scene.record.identity;
        let (address, _) = if seen.side == Side::Client { client } else { server };
        let host = (!sighting.first).then_some(address);
        // Allowlist and cooldown apply to each value by itself.
        if let Some(suppressed) = self.fire(Rule::FirstSeen, &(host, seen.method, &*seen.value), scene) {
            let new = NewValue { method: seen.method, value: ArcStr::clone(&seen.value), host };
            self.pending.add(id, scene.now, scene.packet, new, suppressed, seen.raw.as_ref());
        }
    }

    /// The flow with a `first_seen` alert that is due: the one that has been due for longest, or else `flow`.
    #[must_use]
    pub fn first_seen_due(&self, flow: Option<u64>, now: Time) -> Option<u64> {
        self.pending.due(flow, now)
    }

    /// Drops the new values of a flow without an alert.
    pub fn drop_first_seen(&mut self, flow: u64) {
        self.pending.take(flow);
    }

    /// Raises the `first_seen` alert of a connection if it has new values that no alert has named. `now` is the time of
    /// its end, if it ends before the alert is due. Returns the raw form of the first value, if raw forms are output.
    pub fn raise_first_seen(&mut self, record: &ConnectionRecord, now: Time, out: &mut Vec<Alert>) -> Option<ArcStr> {
        let alert = self.pending.take(record.identity.id)?;
        let first = alert.values.first().filter(|_| self.settings.first_seen.enabled)?;
        let (client, server) = (record.identity.client.0.to_string(), record.identity.server.0.to_string());
        let (name, description) = self.words.get(Rule::FirstSeen as usize).cloned().unwrap_or_default();
        out.push(Alert {
            time: alert.due().min(now.max(alert.since)),
            packet: alert.packet,
            rule: name,
            description,
            severity: self.settings.first_seen.severity,
            group: vec![("src_ip".into(), client.into()), ("dst_ip".into(), server.into())],
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

    fn new_tunnel(&mut self, scene: &mut Scene<'_>) {
        let Self { settings, tunnels, allow, fired, .. } = self;
        let (identity, tunnel) = (&scene.record.identity, scene.record.tunnel());
        if !settings.new_tunnel.enabled {
            return;
        }
        let (client, server) = (identity.client.0, identity.server.0);
        let kept_back = || kept_back(fired, allow, Rule::NewTunnel, scene);
        let Some(found) = tunnels.see(&settings.new_tunnel, client, server, tunnel, kept_back) else {
            return;
        };
        let (Some(suppressed), Some(tunnel)) = (self.cool(Rule::NewTunnel, &found.place, scene), tunnel) else {
            return;
        };
        let reason = format!(
            "MTU {} says {} (confidence {}); {} connections before had no tunnel, {} are enough",
            tunnel.mtu, tunnel.name, tunnel.confidence, found.clear, self.settings.new_tunnel.observations,
        );
        let mut alert = match found.place {
            Place::Pair(client, server) => {
                let (client, server) = (client.to_string(), server.to_string());
                let group = [("src_ip", &*client), ("dst_ip", &*server)];
                self.alert(Rule::NewTunnel, &group, reason, suppressed, scene)
            }
            Place::Network(network) => {
                self.alert(Rule::NewTunnel, &[("src_net", &network.to_string())], reason, suppressed, scene)
            }
        };
        alert.confidence = Some(tunnel.confidence);
        scene.out.push(alert);
    }

    fn user_agent_mismatch(&mut self, seen: &FingerprintRecord, scene: &mut Scene<'_>) {
        let settings = &self.settings.user_agent_mismatch;
        let ConnectionRecord { identity, attributes, .. } = scene.record;
        let (client, server) = (identity.client.0, identity.server.0);
        if !settings.enabled {
            return;
        }
        let found = if seen.method == Method::Ja4 {
            self.agents.ja4(settings, client, server, &seen.value, seen.label.as_ref(), scene.now)
        } else {
            let text = attributes.http.as_ref().and_then(|http| http.user_agent.as_deref());
            text.and_then(|text| self.agents.user_agent(settings, client, server, text, scene.record.os(), scene.now))
        };
        if let Some(found) = found
            && let Some(suppressed) = self.fire(Rule::UserAgentMismatch, &client, scene)
        {
            let group = [("src_ip", &*client.to_string())];
            let alert = self.alert(Rule::UserAgentMismatch, &group, found.0, suppressed, scene);
            scene.out.push(alert);
        }
    }

    fn many_ja4(&mut self, seen: &FingerprintRecord, scene: &mut Scene<'_>) {
        let settings = &self.settings.many_ja4;
        let client = scene.record.identity.client.0;
        if !settings.enabled {
            return;
        }
        let value = self.seed.hash_one(&*seen.value);
        let found = self.many.see(settings, client, value, scene.now);
        if let Some(number) = found
            && let Some(suppressed) = self.fire(Rule::ManyJa4, &client, scene)
        {
            let ManyJa4 { threshold, window, .. } = &self.settings.many_ja4;
            let most = if number as u32 >= many::MAX_VALUES { " at least" } else { "" };
            let reason = format!("{number}{most} different JA4 within {window}; more than {threshold} are many");
            let group = [("src_ip", &*client.to_string())];
            let alert = self.alert(Rule::ManyJa4, &group, reason, suppressed, scene);
            scene.out.push(alert);
        }
    }

    fn rare_value_spread(&mut self, seen: &FingerprintRecord, sighting: Sighting, scene: &mut Scene<'_>) {
        let Self { settings, spread, seed, allow, fired, .. } = self;
        let settings = &settings.rare_value_spread;
        let rare = seen.label.is_none() || seen.known_bad.is_some();
        let Some(since) = sighting.new_since.filter(|_| settings.enabled && rare) else {
            return;
        };
        let value = seed.hash_one((seen.method, &*seen.value));
        let client = seed.hash_one(scene.record.identity.client.0);
        let kept_back = || kept_back(fired, allow, Rule::RareValueSpread, scene);
        let found = spread.see(settings, value, client, since, scene.now, kept_back);
        if let Some(hosts) = found
            && let Some(suppressed) = self.cool(Rule::RareValueSpread, &(seen.method, &*seen.value), scene)
        {
            let RareValueSpread { hosts: enough, window, rare_for, .. } = &self.settings.rare_value_spread;
            let (method, value) = (seen.method.name(), &*seen.value);
            let reason = format!(
                "{method} {value}, new to this network within {rare_for}, came from {hosts} clients within {window}; \
                 {enough} are enough"
            );
            let alert = self.alert(Rule::RareValueSpread, &[(method, value)], reason, suppressed, scene);
            scene.out.push(alert);
        }
    }

    fn new_chain(&mut self, mut scene: Scene<'_>) {
        let Self { settings, chains, seed, allow, fired, .. } = self;
        let settings = &settings.new_chain;
        let record = scene.record;
        let sni = record.attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let Some(sni) = sni.filter(|_| settings.enabled) else {
            return;
        };
        // Each beginning of the chain has the hash of the one before it and the next value.
        let (mut hashes, mut length, mut hash) = ([0; MAX_VALUES], 0, 0_u64);
        for (seen, place) in chain(record).zip(&mut hashes) {
            hash = seed.hash_one((hash, &*seen.value));
            *place = hash;
            length += 1;
        }
        let beginnings = hashes.get(..length).unwrap_or_default();
        let kept_back = || {
            let values = chain(record).map(|seen| (seen.method, &*seen.value));
            kept_back_of(fired, allow, Rule::NewChain, record, values)
        };
        let Some(before) = chains.see(settings, sni, beginnings, kept_back) else {
            return;
        };
        if let Some(suppressed) = self.cool(Rule::NewChain, &sni, &mut scene) {
            let chain = chain(record).map(|seen| &*seen.value).collect::<Vec<_>>().join(", ");
            let enough = self.settings.new_chain.observations;
            let reason = format!(
                "{length} certificates for {sni} have JA4X {chain}; {before} chains before had other shapes, {enough} are enough"
            );
            let alert = self.alert(Rule::NewChain, &[("sni", sni)], reason, suppressed, &scene);
            scene.out.push(alert);
        }
    }

    /// `beat`: when the client spoke.
    fn beacon(&mut self, seen: &FingerprintRecord, beat: Time, scene: &mut Scene<'_>) {
        let settings = &self.settings.beacon;
        let identity = &scene.record.identity;
        if !settings.enabled {
            return;
        }
        let (client, server): (IpAddr, _) = (identity.client.0, identity.server);
        let key = (client, server, self.seed.hash_one((seen.method, &*seen.value)));
        let Some(found) = self.beacons.see(settings, key, beat) else {
            return;
        };
        let Some(suppressed) = self.fire(Rule::Beacon, &(client, server, seen.method, &*seen.value), scene) else {
            return;
        };
        let beacon::Found { intervals, mean, variation } = found;
        let most = self.settings.beacon.variation;
        let reason = format!(
            "{intervals} intervals of {mean:.1} s on average vary by {variation:.3} (standard deviation over mean); up to \
             {most} is regular"
        );
        let (client, server, port) = (client.to_string(), server.0.to_string(), server.1.to_string());
        let group: Group<'_> =
            &[("src_ip", &client), ("dst_ip", &server), ("dst_port", &port), (seen.method.name(), &seen.value)];
        let alert = self.alert(Rule::Beacon, group, reason, suppressed, scene);
        scene.out.push(alert);
    }

    /// Counts a firing, and asks whether it is told.
    fn fire(&mut self, rule: Rule, group: &impl Hash, scene: &mut Scene<'_>) -> Option<u64> {
        if kept_back(&mut self.fired, &self.allow, rule, scene) {
            return None;
        }
        self.cool(rule, group, scene)
    }

    /// Whether a firing that nothing keeps back is told, or stands behind an earlier one of its group.
    fn cool(&self, rule: Rule, group: &impl Hash, scene: &mut Scene<'_>) -> Option<u64> {
        let cooldown = self.settings.common(rule).cooldown.0;
        scene.cooldowns.check(rule.name(), group, scene.now, cooldown)
    }

    fn alert(&self, rule: Rule, group: Group<'_>, reason: String, suppressed: u64, scene: &Scene<'_>) -> Alert {
        let (name, description) = self.words.get(rule as usize).cloned().unwrap_or_default();
        Alert {
            time: scene.now,
            packet: scene.packet,
            rule: name,
            description,
            severity: self.settings.common(rule).severity,
            group: group.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            reason,
            flow: Some(scene.record.identity),
            interface: Some(scene.record.interface),
            fingerprint: scene.seen.map(|seen| (seen.method, ArcStr::clone(&seen.value))),
            category: None,
            confidence: None,
            suppressed,
        }
    }
}

/// Counts a firing, and asks whether the allowlist keeps it back.
fn kept_back(fired: &mut [u64; Rule::ALL.len()], allow: &Allow, rule: Rule, scene: &Scene<'_>) -> bool {
    kept_back_of(fired, allow, rule, scene.record, scene.seen.map(|seen| (seen.method, &*seen.value)))
}

/// The same of several fingerprints: one that is left in peace is enough.
fn kept_back_of<'v>(
    fired: &mut [u64; Rule::ALL.len()],
    allow: &Allow,
    rule: Rule,
    record: &ConnectionRecord,
    fingerprints: impl IntoIterator<Item = (Method, &'v str)>,
) -> bool {
    if let Some(fired) = fired.get_mut(rule as usize) {
        *fired += 1;
    }
    allow.covers(rule.name(), record, fingerprints)
}

/// The JA4T of a TCP connection that came about and whose client has shown nothing else. One that a RST ended before it
/// carried anything was a look whether somebody is there.
fn bare(record: &ConnectionRecord) -> Option<&FingerprintRecord> {
    let opened = record.latency().client.is_some() && Handshake::of(record) != Handshake::Failed;
    record.primary().filter(|seen| opened && seen.method == Method::Ja4t)
}

/// The server's certificates, leaf first; the client may have shown its own.
fn chain(record: &ConnectionRecord) -> impl Iterator<Item = &FingerprintRecord> {
    record.history.iter().filter(|seen| seen.method == Method::Ja4x && seen.side == Side::Server)
}

#[cfg(test)]
mod tests;
