use super::*;
use crate::detect::builtin::testing::at;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const OLD_CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/49.0.1 Safari/537.36";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36";
const TLS13: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";
const TLS12: &str = "t12d1516h1_8daaf6152771_e5627efa2ab1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn label(name: &str) -> Option<Arc<Label>> {
    Some(Arc::new(Label { name: name.into(), source: "builtin".into(), category: None, confidence: None }))
}

struct TestHost(UserAgentTracker);

impl TestHost {
    fn ja4(&mut self, server: &str, value: &str, name: Option<&str>, second: u64) -> Option<String> {
        let label = name.and_then(label);
        let (host, server) = (ip("10.0.0.1"), ip(server));
        let found = self.0.observe_ja4(
            &UserAgentMismatchSettings::default(),
            host,
            server,
            &value.into(),
            label.as_ref(),
            at(second),
        );
        found.map(|UserAgentContradiction(text)| text)
    }

    fn agent(&mut self, server: &str, text: &str, os: Option<&str>, second: u64) -> Option<String> {
        let (host, server) = (ip("10.0.0.1"), ip(server));
        let found =
            self.0.observe_user_agent(&UserAgentMismatchSettings::default(), host, server, text, os, at(second));
        found.map(|UserAgentContradiction(text)| text)
    }
}

fn host() -> TestHost {
    TestHost(UserAgentTracker::new(1))
}

#[test]
fn curl_towards_the_same_server_contradicts_a_browser() {
    let mut host = host();
    assert_eq!(host.agent("9.9.9.9", CHROME, None, 1), None);
    let text = host.ja4("9.9.9.9", TLS13, Some("curl 8.5"), 2).unwrap();
    assert!(text.starts_with("the User-Agent claims Chrome 131, JA4 t13d1516h2_"), "{text}");
    assert!(text.contains("to the same server belongs to curl 8.5: Mozilla/5.0"), "{text}");
}

#[test]
fn a_host_with_tools_only_contradicts_a_browser() {
    let mut host = host();
    for second in 1..=2 {
        assert_eq!(host.ja4("1.1.1.1", TLS13, Some("Python / requests"), second), None);
    }
    assert_eq!(host.agent("9.9.9.9", CHROME, None, 3), None);
    assert!(host.ja4("1.1.1.1", TLS13, Some("Python / requests"), 4).is_some());
}

#[test]
fn a_browser_among_tools_is_not_contradicted() {
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
fn a_label_shared_with_a_browser_does_not_contradict_it() {
    let mut host = host();
    host.agent("9.9.9.9", CHROME, None, 1);
    assert_eq!(host.ja4("9.9.9.9", TLS13, Some("curl / Google Chrome"), 2), None);
}

#[test]
fn a_modern_browser_without_tls_1_3_is_contradicted() {
    let mut host = host();
    host.agent("9.9.9.9", SAFARI, None, 1);
    assert!(host.ja4("9.9.9.9", TLS12, None, 2).unwrap().contains("claims Safari 17, JA4 t12"));
    let mut host = self::host();
    host.agent("9.9.9.9", OLD_CHROME, None, 1);
    assert_eq!(host.ja4("9.9.9.9", TLS12, None, 2), None);
}

#[test]
fn the_tcp_handshake_contradicts_the_operating_system() {
    let mut host = host();
    let text = host.agent("9.9.9.9", CHROME, Some("Linux"), 1).unwrap();
    assert!(text.starts_with("the User-Agent claims Windows, its TCP handshake indicates Linux: "), "{text}");
    for (agent, os) in [
        (CHROME, "Windows"),
        (SAFARI, "macOS or iOS"),
        (CHROME, "Cisco IOS"),
        (SAFARI, "Linux/macOS"),
        (OLD_CHROME, "Linux"),
        (ANDROID, "Linux"),
    ] {
        assert_eq!(host.agent("9.9.9.9", agent, Some(os), 1), None, "{agent} {os}");
    }
    for (agent, os, claimed) in [
        (SAFARI, "Linux", "Apple"),
        (SAFARI, "Windows", "Apple"),
        (ANDROID, "macOS or iOS", "Linux"),
        (OLD_CHROME, "macOS or iOS", "Linux"),
    ] {
        let text = host.agent("9.9.9.9", agent, Some(os), 1).unwrap();
        assert!(
            text.starts_with(&format!("the User-Agent claims {claimed}, its TCP handshake indicates {os}: ")),
            "{text}"
        );
    }
}

#[test]
fn old_values_and_other_user_agents_are_not_contradicted() {
    let mut host = host();
    host.agent("9.9.9.9", CHROME, None, 1);
    assert_eq!(host.ja4("9.9.9.9", TLS13, Some("curl"), 700), None);
    for text in ["curl/8.5.0", "", "Mozilla/5.0 (compatible; Googlebot/2.1) Chrome/131.0", "Go-http-client/1.1"] {
        assert_eq!(host.agent("9.9.9.9", text, Some("Linux"), 701), None);
    }
}

#[test]
fn user_agents_and_ja4_values_are_bounded() {
    let mut host = host();
    for number in 0..100 {
        host.agent("9.9.9.9", &format!("{CHROME} {number} {}", "é".repeat(500)), None, number);
        host.ja4("9.9.9.9", &format!("t13{number}"), None, number);
    }
    let (_, held) = host.0.hosts.iter().next().unwrap();
    assert_eq!((held.agents.len(), held.ja4s.len()), (MAX_CLAIMS, MAX_JA4));
    assert!(held.agents.iter().all(|agent| agent.text.len() <= MAX_SHOWN));
}
