//! A client's stack is not what its User-Agent says.
//!
//! A User-Agent comes in cleartext HTTP, where there is no JA4; a JA4 comes in TLS, where the User-Agent is hidden. What
//! both say of a host is held together for a while. Only a User-Agent that claims a browser is looked at, as a host with
//! a browser has other clients too: it is contradicted where no JA4 of the host, or of the host towards the same server,
//! could be that browser's.
//!
//! | a browser claims | contradicted where |
//! |---|---|
//! | to be one | each JA4 has the label of a tool or a library: curl, Python, Go, … |
//! | Chrome 70, Firefox 63, Safari 14 or newer | each JA4 offers no TLS 1.3 |
//! | Windows, Linux or Apple | the TTL, window and options of this very connection are those of another of them |
//!
//! False positives: a proxy or a gateway that translates addresses, whose clients share one address; a browser whose TLS
//! goes past the sensor. The operating system is that of a proxy, where one opens the connection.

mod claim;

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use self::claim::{Claim, Class, claim, class, system};
use crate::detect::bounded::Bounded;
use crate::detect::builtin::settings::UserAgentMismatch as Settings;
use crate::model::{Label, Time};

/// Hosts kept, some 500 bytes each.
const MAX_HOSTS: usize = 20_000;

/// JA4s kept of a host. A browser and a few tools; of more, those seen longest ago go.
const MAX_JA4: usize = 16;

/// User-Agents kept of a host.
const MAX_CLAIMS: usize = 4;

/// Bytes of a User-Agent that an alert shows.
const SHOWN: usize = 160;

#[derive(Debug)]
struct Stack {
    value: ArcStr,
    label: Option<Arc<Label>>,
    class: Class,
    tls13: bool,
    /// The last server it was shown to.
    server: IpAddr,
    last: Time,
    count: u32,
}

#[derive(Debug)]
struct Agent {
    hash: u64,
    /// `None`: it claims no browser.
    claim: Option<Claim>,
    text: Arc<str>,
    server: IpAddr,
    last: Time,
}

#[derive(Debug, Default)]
struct Host {
    stacks: Vec<Stack>,
    agents: Vec<Agent>,
}

#[derive(Debug)]
pub(super) struct Agents {
    hosts: Bounded<IpAddr, Host>,
    seed: RandomState,
}

/// A contradiction, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found(pub(super) String);

impl Agents {
    pub(super) fn new() -> Self {
        Self { hosts: Bounded::new(MAX_HOSTS), seed: RandomState::default() }
    }

    /// Takes note of a JA4 that a host showed to a server.
    pub(super) fn ja4(
        &mut self,
        settings: &Settings,
        host: IpAddr,
        server: IpAddr,
        value: &ArcStr,
        label: Option<&Arc<Label>>,
        now: Time,
    ) -> Option<Found> {
        let Host { stacks, agents } = self.hosts.entry(host, Host::default);
        match stacks.iter_mut().find(|stack| stack.value == *value) {
            Some(stack) => {
                stack.server = server;
                stack.last = now;
                stack.count = stack.count.saturating_add(1);
                if let (None, Some(label)) = (&stack.label, label) {
                    stack.label = Some(Arc::clone(label));
                    stack.class = class(label);
                }
            }
            None => {
                let stack = Stack {
                    value: ArcStr::clone(value),
                    label: label.cloned(),
                    class: label.map_or(Class::Unknown, |label| class(label)),
                    tls13: matches!(value.get(1..3), Some("13" | "d3")),
                    server,
                    last: now,
                    count: 1,
                };
                keep(stacks, stack, MAX_JA4, |stack| stack.last);
            }
        }
        let window = settings.window.nanoseconds();
        let agents = agents.iter().filter(|agent| now.0.saturating_sub(agent.last.0) < window);
        agents.filter_map(|agent| contradiction(settings, stacks, agent, now)).next()
    }

    /// Takes note of a User-Agent that a host showed to a server, and of the operating system that this connection's SYN
    /// hints at.
    pub(super) fn user_agent(
        &mut self,
        settings: &Settings,
        host: IpAddr,
        server: IpAddr,
        text: &str,
        os: Option<&str>,
        now: Time,
    ) -> Option<Found> {
        let hash = self.seed.hash_one(text);
        let Host { stacks, agents } = self.hosts.entry(host, Host::default);
        let place = agents.iter().position(|agent| agent.hash == hash).unwrap_or_else(|| {
            let agent = Agent { hash, claim: claim(text), text: shown(text).into(), server, last: now };
            keep(agents, agent, MAX_CLAIMS, |agent| agent.last)
        });
        let agent = agents.get_mut(place)?;
        agent.server = server;
        agent.last = now;
        let claimed = agent.claim?.system;
        if let (Some(claimed), Some(os)) = (claimed, os)
            && let Some(hinted) = system(os)
            && claimed != hinted
        {
            let text = &agent.text;
            return Some(Found(format!("the User-Agent claims {claimed:?}, its TCP handshake hints at {os}: {text}")));
        }
        contradiction(settings, stacks, agent, now)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.hosts.evicted()
    }
}

/// Adds an item; of more than `max`, it takes the place of the one seen longest ago. Gives its place.
fn keep<T>(items: &mut Vec<T>, item: T, max: usize, last: impl Fn(&T) -> Time) -> usize {
    if items.len() < max {
        items.push(item);
        return items.len() - 1;
    }
    let oldest = items.iter().enumerate().min_by_key(|(_, item)| last(item)).map_or(0, |(place, _)| place);
    if let Some(place) = items.get_mut(oldest) {
        *place = item;
    }
    oldest
}

/// Whether what a host shows in TLS speaks against an agent: all JA4s towards its server, or else enough of the
/// whole host.
fn contradiction(settings: &Settings, stacks: &[Stack], agent: &Agent, now: Time) -> Option<Found> {
    let claim = agent.claim?;
    let window = settings.window.nanoseconds();
    let recent = || stacks.iter().filter(|stack| now.0.saturating_sub(stack.last.0) < window);
    let same = || recent().filter(|stack| stack.server == agent.server);
    let against =
        |stack: &Stack| stack.class == Class::Tool || (claim.tls13 && !stack.tls13 && stack.class != Class::Browser);
    let by_server = same().next().is_some() && same().all(against);
    let sightings = recent().fold(0, |sum: u32, stack| sum.saturating_add(stack.count));
    let by_host = sightings >= settings.sightings && recent().all(against);
    if !by_server && !by_host {
        return None;
    }
    let witness = if by_server { same().next() } else { recent().max_by_key(|stack| stack.last) }?;
    let where_ = if by_server { "to the same server" } else { "of the host" };
    let Claim { browser, version, .. } = claim;
    let (value, text) = (&witness.value, &agent.text);
    let what = match &witness.label {
        Some(label) if witness.class == Class::Tool => format!("belongs to {}", label.name),
        _ => "offers no TLS 1.3".to_owned(),
    };
    Some(Found(format!("the User-Agent claims {browser:?} {version}, JA4 {value} {where_} {what}: {text}")))
}

fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(SHOWN)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
