//! Rule `user_agent_mismatch`: a client's fingerprints contradict its User-Agent.
//!
//! A User-Agent is in cleartext HTTP, which has no JA4; a JA4 is in TLS, which encrypts the User-Agent. Both are
//! correlated per host for a while. Only User-Agents that claim a browser are checked, since a host with a browser has
//! other clients too. The claim is contradicted if no JA4 of the host, or of the host towards the same server, can be
//! that browser's.
//!
//! | the User-Agent claims | contradicted if |
//! |---|---|
//! | a browser | each JA4 has the label of a tool or a library: curl, Python, Go, … |
//! | Chrome 70, Firefox 63, Safari 14 or newer | no JA4 offers TLS 1.3 |
//! | Windows, Linux or Apple | TTL, window and options of the same connection are those of another of them |
//!
//! False positives: clients that share the address of a proxy or a NAT gateway; a browser with TLS that bypasses the sensor.
//! Behind a proxy, the operating system is the proxy's.

mod claim;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use self::claim::{BrowserClaim, ClientClass, claim, class, os_family};
use super::rule_settings::rule_settings;
use crate::detect::time_ranges::WINDOW;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{Label, Time};
use crate::units::HumanDuration;

/// Tracked hosts, some 500 bytes each.
const MAX_HOSTS: usize = 20_000;

/// Tracked JA4 values of a host: a browser and a few tools.
const MAX_JA4: usize = 16;

/// Tracked User-Agents of a host.
const MAX_CLAIMS: usize = 4;

/// Bytes of a User-Agent that an alert shows.
const MAX_SHOWN: usize = 160;

rule_settings! {
    /// Section `[builtin.user_agent_mismatch]`: a client's fingerprints contradict its User-Agent.
    UserAgentMismatchSettings(Medium, 3600) {
        /// How long User-Agents and JA4 values of a host are correlated.
        pub window: HumanDuration = HumanDuration::seconds(600), in WINDOW;
        /// JA4 sightings of a host that must contradict its User-Agent if none of them is towards the same server.
        pub sightings: u32 = 3, in 1..;
    }
}

/// A JA4 value of a host.
#[derive(Debug)]
struct ObservedJa4 {
    value: ArcStr,
    label: Option<Arc<Label>>,
    class: ClientClass,
    tls13: bool,
    /// The last server that it was sent to.
    server: IpAddr,
    last: Time,
    count: u32,
}

/// A User-Agent of a host.
#[derive(Debug)]
struct ObservedUserAgent {
    hash: u64,
    /// `None`: it does not claim a browser.
    claim: Option<BrowserClaim>,
    text: Arc<str>,
    server: IpAddr,
    last: Time,
}

#[derive(Debug, Default)]
struct HostClients {
    ja4s: Vec<ObservedJa4>,
    agents: Vec<ObservedUserAgent>,
}

/// The JA4 values and User-Agents of each host.
#[derive(Debug)]
pub(super) struct UserAgentTracker {
    hosts: BoundedLruMap<IpAddr, HostClients>,
    seed: RandomState,
}

/// The text of a contradiction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserAgentContradiction(pub(super) String);

impl UserAgentTracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self { hosts: BoundedLruMap::new(MAX_HOSTS.div_ceil(parts)), seed: RandomState::default() }
    }

    /// Records a JA4 value that a host sent to a server.
    pub(super) fn observe_ja4(
        &mut self,
        settings: &UserAgentMismatchSettings,
        host: IpAddr,
        server: IpAddr,
        value: &ArcStr,
        label: Option<&Arc<Label>>,
        now: Time,
    ) -> Option<UserAgentContradiction> {
        let HostClients { ja4s, agents } = self.hosts.entry(host, HostClients::default);
        match ja4s.iter_mut().find(|ja4| ja4.value == *value) {
            Some(ja4) => {
                ja4.server = server;
                ja4.last = now;
                ja4.count = ja4.count.saturating_add(1);
                if let (None, Some(label)) = (&ja4.label, label) {
                    ja4.label = Some(Arc::clone(label));
                    ja4.class = class(label);
                }
            }
            None => {
                let ja4 = ObservedJa4 {
                    value: ArcStr::clone(value),
                    label: label.cloned(),
                    class: label.map_or(ClientClass::Unknown, |label| class(label)),
                    tls13: matches!(value.get(1..3), Some("13" | "d3")),
                    server,
                    last: now,
                    count: 1,
                };
                insert_bounded(ja4s, ja4, MAX_JA4, |ja4| ja4.last);
            }
        }
        let window = settings.window.nanoseconds();
        let agents = agents.iter().filter(|agent| now.0.saturating_sub(agent.last.0) < window);
        agents.filter_map(|agent| contradiction(settings, ja4s, agent, now)).next()
    }

    /// Records a User-Agent that a host sent to a server, and the operating system inferred from the SYN of the same
    /// connection.
    pub(super) fn observe_user_agent(
        &mut self,
        settings: &UserAgentMismatchSettings,
        host: IpAddr,
        server: IpAddr,
        text: &str,
        os: Option<&str>,
        now: Time,
    ) -> Option<UserAgentContradiction> {
        let hash = self.seed.hash_one(text);
        let HostClients { ja4s, agents } = self.hosts.entry(host, HostClients::default);
        let index = agents.iter().position(|agent| agent.hash == hash).unwrap_or_else(|| {
            let agent = ObservedUserAgent { hash, claim: claim(text), text: shown(text).into(), server, last: now };
            insert_bounded(agents, agent, MAX_CLAIMS, |agent| agent.last)
        });
        let agent = agents.get_mut(index)?;
        agent.server = server;
        agent.last = now;
        let claimed = agent.claim?.os;
        if let (Some(claimed), Some(os)) = (claimed, os)
            && let Some(inferred) = os_family(os)
            && claimed != inferred
        {
            let text = &agent.text;
            return Some(UserAgentContradiction(format!(
                "the User-Agent claims {claimed:?}, its TCP handshake indicates {os}: {text}"
            )));
        }
        contradiction(settings, ja4s, agent, now)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.hosts.evicted()
    }
}

/// Adds an item, replacing the one seen longest ago in a list of `max`. Returns its index.
fn insert_bounded<T>(items: &mut Vec<T>, item: T, max: usize, last: impl Fn(&T) -> Time) -> usize {
    if items.len() < max {
        items.push(item);
        return items.len() - 1;
    }
    let oldest = items.iter().enumerate().min_by_key(|(_, item)| last(item)).map_or(0, |(index, _)| index);
    if let Some(oldest) = items.get_mut(oldest) {
        *oldest = item;
    }
    oldest
}

/// Returns the contradiction between a User-Agent and the JA4 values of its host: all values towards the same server
/// contradict it, or all values of the host, if there are enough.
fn contradiction(
    settings: &UserAgentMismatchSettings,
    ja4s: &[ObservedJa4],
    agent: &ObservedUserAgent,
    now: Time,
) -> Option<UserAgentContradiction> {
    let claim = agent.claim?;
    let window = settings.window.nanoseconds();
    let recent = || ja4s.iter().filter(|ja4| now.0.saturating_sub(ja4.last.0) < window);
    let same = || recent().filter(|ja4| ja4.server == agent.server);
    let contradicts = |ja4: &ObservedJa4| {
        ja4.class == ClientClass::Tool || (claim.tls13 && !ja4.tls13 && ja4.class != ClientClass::Browser)
    };
    let by_server = same().next().is_some() && same().all(contradicts);
    let sightings = recent().fold(0, |sum: u32, ja4| sum.saturating_add(ja4.count));
    let by_host = sightings >= settings.sightings && recent().all(contradicts);
    if !by_server && !by_host {
        return None;
    }
    let example = if by_server { same().next() } else { recent().max_by_key(|ja4| ja4.last) }?;
    let towards = if by_server { "to the same server" } else { "of the host" };
    let BrowserClaim { browser, version, .. } = claim;
    let (value, text) = (&example.value, &agent.text);
    let what = match &example.label {
        Some(label) if example.class == ClientClass::Tool => format!("belongs to {}", label.name),
        _ => "offers no TLS 1.3".to_owned(),
    };
    Some(UserAgentContradiction(format!(
        "the User-Agent claims {browser:?} {version}, JA4 {value} {towards} {what}: {text}"
    )))
}

/// The part of a User-Agent that an alert shows.
fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_SHOWN)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
