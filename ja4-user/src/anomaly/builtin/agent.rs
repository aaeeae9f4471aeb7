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
//! | Windows | the TTL, window and options of this very connection are those of Linux or Apple, and the reverse |
//!
//! False positives: a proxy or a gateway that translates addresses, whose clients share one address; a browser whose TLS
//! goes past the sensor. The operating system is that of a proxy, where one opens the connection.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::settings::UserAgentMismatch as Settings;
use crate::anomaly::bounded::Bounded;
use crate::engine::record::Label;
use crate::event::Time;

/// Hosts kept, some 500 bytes each.
const MAX_HOSTS: usize = 20_000;

/// JA4s kept of a host. A browser and a few tools; of more, those seen longest ago go.
const MAX_JA4: usize = 16;

/// User-Agents kept of a host.
const MAX_CLAIMS: usize = 4;

/// Bytes of a User-Agent that an alert shows.
const SHOWN: usize = 160;

/// First versions with TLS 1.3, for a browser that is at least as new.
const TLS13: [(&str, u32, Browser); 5] = [
    // In this order: an Edge and an Opera name Chrome as well, a Chrome names Safari.
    ("Firefox/", 63, Browser::Firefox),
    ("Edg/", 79, Browser::Edge),
    ("OPR/", 57, Browser::Opera),
    ("Chrome/", 70, Browser::Chrome),
    ("Version/", 14, Browser::Safari),
];

/// Words of labels that name no browser. Whole words: `go` is not part of `mango`.
const TOOLS: [&str; 24] = [
    "curl",
    "libcurl",
    "wget",
    "python",
    "requests",
    "urllib",
    "urllib3",
    "aiohttp",
    "httpx",
    "go",
    "golang",
    "java",
    "okhttp",
    "node",
    "nodejs",
    "ruby",
    "perl",
    "php",
    "powershell",
    "openssl",
    "gnutls",
    "rust",
    "rustls",
    "sliver",
];

/// Words of labels that name a browser, or what one is made of.
const BROWSERS: [&str; 13] = [
    "chrome", "chromium", "firefox", "safari", "edge", "opera", "brave", "vivaldi", "browser", "webkit", "gecko",
    "mozilla", "electron",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Browser {
    Firefox,
    Edge,
    Opera,
    Chrome,
    Safari,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Windows,
    Linux,
    Apple,
}

/// What a User-Agent claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    browser: Browser,
    version: u32,
    tls13: bool,
    system: Option<System>,
}

/// Whose a JA4 is, as its label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Tool,
    Browser,
    /// No label, or one that says neither.
    Unknown,
}

#[derive(Debug)]
struct Stack {
    value: Arc<str>,
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
        value: &Arc<str>,
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
                    value: Arc::clone(value),
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
            && (claimed == System::Windows) != (hinted == System::Windows)
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

fn claim(text: &str) -> Option<Claim> {
    // A crawler says that it is one beside the browser it is made of; what it is made of is not told.
    if ["bot", "Bot", "crawler", "spider", "compatible;"].iter().any(|word| text.contains(word)) {
        return None;
    }
    let number = |token: &str| {
        let at = text.find(token)? + token.len();
        let digits: String = text.get(at..)?.chars().take_while(char::is_ascii_digit).take(6).collect();
        digits.parse::<u32>().ok()
    };
    let found = TLS13.iter().find_map(|&(token, first, browser)| {
        let claimed = browser != Browser::Safari || text.contains("Safari/");
        number(token).filter(|_| claimed).map(|version| (browser, version, version >= first))
    });
    let (browser, version, tls13) = found?;
    let systems = [
        ("Windows NT", System::Windows),
        ("Android", System::Linux),
        ("Linux", System::Linux),
        ("CrOS", System::Linux),
        ("Macintosh", System::Apple),
        ("iPhone", System::Apple),
        ("iPad", System::Apple),
    ];
    let system = systems.into_iter().find(|(word, _)| text.contains(word)).map(|(_, system)| system);
    Some(Claim { browser, version, tls13, system })
}

/// The system that a hint such as `Linux` or `macOS or iOS` names; `None` where it names none or several.
fn system(hint: &str) -> Option<System> {
    let hint = hint.to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| hint.contains(word));
    let windows = names(&["windows"]);
    match (windows, names(&["linux", "android"]), names(&["macos", "apple", "darwin"])) {
        (true, false, false) => Some(System::Windows),
        (false, true, false) => Some(System::Linux),
        (false, false, true) => Some(System::Apple),
        _ => None,
    }
}

fn class(label: &Label) -> Class {
    let names = |words: &[&str]| {
        let category = label.category.as_deref().unwrap_or_default();
        let mut parts = label.name.split(|c: char| !c.is_ascii_alphanumeric()).chain([category]);
        parts.any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
    };
    if names(&BROWSERS) {
        Class::Browser
    } else if names(&TOOLS) {
        Class::Tool
    } else {
        Class::Unknown
    }
}

fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(SHOWN)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::anomaly::builtin::testing::at;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
    const OLD_CHROME: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/49.0.1 Safari/537.36";
    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    const TLS13: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    const TLS12: &str = "t12d1516h1_8daaf6152771_e5627efa2ab1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn label(name: &str) -> Option<Arc<Label>> {
        Some(Arc::new(Label { name: name.into(), source: "builtin".into(), category: None, confidence: None }))
    }

    struct Host(Agents);

    impl Host {
        fn ja4(&mut self, server: &str, value: &str, name: Option<&str>, second: u64) -> Option<String> {
            let label = name.and_then(label);
            let (host, server) = (ip("10.0.0.1"), ip(server));
            let found = self.0.ja4(&Settings::default(), host, server, &value.into(), label.as_ref(), at(second));
            found.map(|Found(text)| text)
        }

        fn agent(&mut self, server: &str, text: &str, os: Option<&str>, second: u64) -> Option<String> {
            let (host, server) = (ip("10.0.0.1"), ip(server));
            let found = self.0.user_agent(&Settings::default(), host, server, text, os, at(second));
            found.map(|Found(text)| text)
        }
    }

    fn host() -> Host {
        Host(Agents::new())
    }

    #[test]
    fn a_browser_towards_a_server_that_sees_curl_is_none() {
        let mut host = host();
        assert_eq!(host.agent("9.9.9.9", CHROME, None, 1), None);
        let said = host.ja4("9.9.9.9", TLS13, Some("curl 8.5"), 2).unwrap();
        assert!(said.starts_with("the User-Agent claims Chrome 131, JA4 t13d1516h2_"), "{said}");
        assert!(said.contains("to the same server belongs to curl 8.5: Mozilla/5.0"), "{said}");
    }

    #[test]
    fn a_host_that_only_shows_tools_has_no_browser() {
        let mut host = host();
        for second in 1..=2 {
            assert_eq!(host.ja4("1.1.1.1", TLS13, Some("Python / requests"), second), None);
        }
        assert_eq!(host.agent("9.9.9.9", CHROME, None, 3), None);
        assert!(host.ja4("1.1.1.1", TLS13, Some("Python / requests"), 4).is_some());
    }

    #[test]
    fn a_browser_among_tools_is_at_home() {
        let mut host = host();
        for second in 1..=5 {
            host.ja4("1.1.1.1", "t13d_tool", Some("curl"), second);
        }
        host.ja4("2.2.2.2", TLS13, None, 6); // it may be the browser
        assert_eq!(host.agent("9.9.9.9", CHROME, None, 7), None);
        host.ja4("2.2.2.2", TLS13, Some("Chromium Browser"), 8);
        assert_eq!(host.agent("9.9.9.9", CHROME, None, 9), None);
    }

    #[test]
    fn what_several_own_speaks_for_the_browser() {
        let mut host = host();
        host.agent("9.9.9.9", CHROME, None, 1);
        assert_eq!(host.ja4("9.9.9.9", TLS13, Some("curl / Google Chrome"), 2), None);
    }

    #[test]
    fn a_modern_browser_offers_tls_1_3() {
        let mut host = host();
        host.agent("9.9.9.9", SAFARI, None, 1);
        assert!(host.ja4("9.9.9.9", TLS12, None, 2).unwrap().contains("claims Safari 17, JA4 t12"));
        let mut host = self::host();
        host.agent("9.9.9.9", OLD_CHROME, None, 1);
        assert_eq!(host.ja4("9.9.9.9", TLS12, None, 2), None);
    }

    #[test]
    fn the_handshake_knows_the_operating_system() {
        let mut host = host();
        let said = host.agent("9.9.9.9", CHROME, Some("Linux"), 1).unwrap();
        assert!(said.starts_with("the User-Agent claims Windows, its TCP handshake hints at Linux: "), "{said}");
        for (agent, os) in [
            (CHROME, "Windows"),
            (SAFARI, "macOS or iOS"),
            (CHROME, "Cisco IOS"),
            (SAFARI, "Linux/macOS"),
            (OLD_CHROME, "Linux"),
        ] {
            assert_eq!(host.agent("9.9.9.9", agent, Some(os), 1), None, "{agent} {os}");
        }
    }

    #[test]
    fn what_is_long_past_or_no_browser_contradicts_nothing() {
        let mut host = host();
        host.agent("9.9.9.9", CHROME, None, 1);
        assert_eq!(host.ja4("9.9.9.9", TLS13, Some("curl"), 700), None);
        for text in ["curl/8.5.0", "", "Mozilla/5.0 (compatible; Googlebot/2.1) Chrome/131.0", "Go-http-client/1.1"] {
            assert_eq!(host.agent("9.9.9.9", text, Some("Linux"), 701), None);
        }
    }

    #[test]
    fn agents_and_stacks_are_bounded() {
        let mut host = host();
        for number in 0..100 {
            host.agent("9.9.9.9", &format!("{CHROME} {number} {}", "é".repeat(500)), None, number);
            host.ja4("9.9.9.9", &format!("t13{number}"), None, number);
        }
        let (_, held) = host.0.hosts.iter().next().unwrap();
        assert_eq!((held.agents.len(), held.stacks.len()), (MAX_CLAIMS, MAX_JA4));
        assert!(held.agents.iter().all(|agent| agent.text.len() <= SHOWN));
    }
}
