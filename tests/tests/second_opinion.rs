//! The package ja4plus 1.4.0, an implementation by other people, over recordings of our scenes: where the two differ, a
//! rule of the specification's section 13 says who is right, or the RFC does. A rule that a scene allows has to be used,
//! so that no allowance outlives its reason.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::tape::Tape;
use tests::tunnel::{Encapsulation, Tunnel};
use tests::{Outcome, Sensor, Wire, fingerprints, optional_python, process, require_root, require_tools, scenes};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/second_opinion.py");

/// Where ja4plus does otherwise, and by what we do not follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Row A6 (and B3): it does not read DTLS.
    NoDtls,
    /// Row A11: it gives the hello after a Retry too.
    SecondHello,
    /// Row C5: it drops a cookie without `=`.
    BareCookie,
    /// Row C1, and S5 for the hash of nothing: it takes the preface of HTTP/2 for a request of HTTP/1, and no other.
    NoHttp2,
    /// Row D1: having found packet C, it gives one more value for the client's first payload.
    LaterPacketC,
    /// Row D10: it names the outer addresses, with the inner ports.
    OuterAddresses,
    /// Row D11: it reads QUIC latencies on port 443 alone.
    OnlyPort443,
    /// Rows F4 and F5: it ends the last window with the first FIN, counts retransmissions, and one segment less where a
    /// message spans two. So its windows begin a packet or two elsewhere.
    OtherSshPackets,
    /// No row. It looks for a ClientHello in segments of nine bytes or more: one that begins with a single byte is missed.
    NoShortSegment,
    /// No row. RFC 9369, section 3.3.2: it derives the keys of version 2 with the labels of version 1, so it reads nothing.
    NoVersion2,
    /// No row. RFC 9001, section 5.2: it does not derive the server's keys anew after a Retry.
    NoKeysAfterRetry,
    /// No row. RFC 9000, section 12.2: of a datagram it reads the first packet alone, so a Handshake packet behind an
    /// Initial is not seen, and rows D7 and D8 have other packets to choose from.
    NoCoalescedPackets,
}

/// What names a connection in both outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Endpoints,
    /// Where addresses cannot be compared.
    Ports,
    /// DHCP: whose the messages are is not the method's.
    Nothing,
}

/// What one of the two says of one connection and kind, and the other does not.
#[derive(Debug)]
struct Difference {
    kind: String,
    connection: String,
    /// We know it for QUIC version 2.
    version_2: bool,
    /// All that we say of this connection and kind.
    ours_all: Vec<String>,
    ours: Vec<String>,
    theirs: Vec<String>,
}

/// Kind and connection, and its values in order.
type Said = BTreeMap<(String, String), Vec<String>>;

fn connection(by: By, one: (&str, u64), other: (&str, u64)) -> String {
    let name = |(address, port): (&str, u64)| match by {
        By::Endpoints => format!("{address} {port}"),
        By::Ports => port.to_string(),
        By::Nothing => String::new(),
    };
    let mut ends = [name(one), name(other)];
    ends.sort();
    ends.join(" - ")
}

/// What we say, and which connections are of QUIC version 2.
fn ours(events: &[Value], by: By) -> (Said, BTreeSet<String>) {
    let (mut said, mut version_2) = (Said::new(), BTreeSet::new());
    for event in fingerprints(events) {
        let end =
            |address: &str, port: &str| (event[address].as_str().unwrap().to_owned(), event[port].as_u64().unwrap());
        let (client, server) = (end("src_ip", "src_port"), end("dest_ip", "dest_port"));
        let connection = connection(by, (&client.0, client.1), (&server.0, server.1));
        let text = |key: &str| event["fingerprint"][key].as_str().unwrap().to_owned();
        said.entry((text("type"), connection.clone())).or_default().push(text("value"));
        if event["quic"]["version"] == "2" {
            version_2.insert(connection);
        }
    }
    (said, version_2)
}

fn theirs(python: &Path, file: &Path, by: By) -> Said {
    let mut command = Command::new(python);
    command.arg(SCRIPT).arg(file);
    let outcome = Outcome::new(process::run(command, &[], process::LIMIT)).ok();
    let mut said = Said::new();
    for line in outcome.stdout().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let end = |key: &str| (line[key][0].as_str().unwrap().to_owned(), line[key][1].as_u64().unwrap());
        let (source, destination) = (end("source"), end("destination"));
        let connection = connection(by, (&source.0, source.1), (&destination.0, destination.1));
        let (kind, value) = canonical(line["kind"].as_str().unwrap(), line["value"].as_str().unwrap());
        said.entry((kind.to_owned(), connection)).or_default().push(value.to_owned());
    }
    said
}

/// Rows D2 and D5 are about how a latency is written: a prefix that names the side, and a third section for QUIC.
fn canonical<'a>(kind: &'a str, value: &'a str) -> (&'a str, &'a str) {
    let value = value.strip_suffix("_quic").unwrap_or(value);
    match (value.strip_prefix("JA4L-C="), value.strip_prefix("JA4L-S=")) {
        (Some(value), _) => ("ja4l", value),
        (_, Some(value)) => ("ja4ls", value),
        _ => (kind, value),
    }
}

/// Row D3: a test allows a microsecond.
fn same(kind: &str, one: &str, other: &str) -> bool {
    if !kind.starts_with("ja4l") {
        return one == other;
    }
    let split = |value: &str| value.split_once('_').map(|(time, ttl)| (time.parse::<u64>().unwrap(), ttl.to_owned()));
    let (Some((one, ttl)), Some((other, other_ttl))) = (split(one), split(other)) else { return false };
    ttl == other_ttl && one.abs_diff(other) <= 1
}

fn differences(ours: &Said, version_2: &BTreeSet<String>, theirs: &Said) -> Vec<Difference> {
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let of = |said: &Said, key| said.get(key).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for key in keys {
        let (kind, connection) = key.clone();
        let ours_all = of(ours, key);
        let (mut left, mut theirs) = (Vec::new(), of(theirs, key));
        let mut compared = ours_all.clone();
        if kind.starts_with("ja4d") {
            // A client that waits too long asks again, which is not the methods' matter.
            for values in [&mut compared, &mut theirs] {
                values.sort();
                values.dedup();
            }
        }
        for value in &compared {
            match theirs.iter().position(|other| same(&kind, value, other)) {
                Some(at) => drop(theirs.remove(at)),
                None => left.push(value.clone()),
            }
        }
        if !left.is_empty() || !theirs.is_empty() {
            let version_2 = version_2.contains(&connection);
            found.push(Difference { kind, connection, version_2, ours_all, ours: left, theirs });
        }
    }
    found
}

/// The first sections of a value.
fn sections(value: &str, count: usize) -> Vec<&str> {
    value.split('_').take(count).collect()
}

impl Difference {
    /// Takes out what `rule` explains; whether there was anything.
    fn explained_by(&mut self, rule: Rule) -> bool {
        let before = self.ours.len() + self.theirs.len();
        let latency = self.kind == "ja4l" || self.kind == "ja4ls";
        let silent = self.theirs.is_empty();
        match rule {
            Rule::NoShortSegment if silent && self.kind == "ja4" && self.is_at_port(9443) => self.ours.clear(),
            Rule::NoDtls if silent && ["ja4", "ja4s", "ja4x"].contains(&self.kind.as_str()) => self.ours.clear(),
            Rule::SecondHello if self.kind == "ja4" => self.theirs.retain(|value| !self.ours_all.contains(value)),
            Rule::BareCookie if self.kind == "ja4h" => {
                // Method, counts and header names agree.
                let same = |one: &String, other: &String| sections(one, 2) == sections(other, 2);
                let (ours, theirs) = (self.ours.clone(), self.theirs.clone());
                self.ours.retain(|value| !theirs.iter().any(|other| same(value, other)));
                self.theirs.retain(|value| !ours.iter().any(|other| same(value, other)));
            }
            Rule::NoHttp2 if self.kind == "ja4h" => {
                self.ours.retain(|value| value.get(2..4) != Some("20"));
                self.theirs.retain(|value| value != "pr20nn000000_e3b0c44298fc_000000000000_000000000000");
            }
            Rule::OtherSshPackets if self.kind == "ja4ssh" && Window::all_near(&self.ours, &self.theirs) => {
                self.ours.clear();
                self.theirs.clear();
            }
            Rule::LaterPacketC if self.kind == "ja4l" && self.ours.is_empty() => self.theirs.clear(),
            Rule::OnlyPort443 if latency && silent && !self.is_at_port(443) => self.ours.clear(),
            // Of a connection that only the server's answer upgrades, it knows the hello.
            Rule::NoVersion2 if silent && (self.version_2 || self.kind != "ja4") => self.ours.clear(),
            Rule::NoKeysAfterRetry if silent && self.kind == "ja4s" => self.ours.clear(),
            Rule::NoCoalescedPackets if latency => {
                if silent {
                    self.ours.clear();
                } else if self.ours.len() == self.theirs.len() {
                    // Other packets, but the same host.
                    let ttl = |value: &String| sections(value, 2).pop().map(str::to_owned);
                    if self.ours.iter().map(ttl).eq(self.theirs.iter().map(ttl)) {
                        self.ours.clear();
                        self.theirs.clear();
                    }
                }
            }
            _ => (),
        }
        self.ours.len() + self.theirs.len() < before
    }

    fn is_at_port(&self, port: u16) -> bool {
        self.connection.split(" - ").any(|end| end.rsplit(' ').next() == Some(&port.to_string()))
    }

    fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.theirs.is_empty()
    }
}

/// A JA4SSH: client and server of each section.
struct Window {
    modes: [u64; 2],
    packets: [u64; 2],
    acks: [u64; 2],
}

impl Window {
    /// Packets and bare ACKs by which a window may be off.
    const PACKETS: u64 = 4;
    /// See there: ACKs of a bulk copy come in bursts, and a burst may fall into the window before or behind.
    const ACKS: u64 = 10 * Self::PACKETS;
    /// Of fewer packets, one more or less may have another length in the lead.
    const FEW: u64 = 20;

    fn read(value: &str) -> Self {
        let mut sections = value.split('_').map(|section| {
            let (client, server) = section.strip_prefix('c').unwrap().split_once('s').unwrap();
            [client.parse().unwrap(), server.parse().unwrap()]
        });
        let mut next = || sections.next().unwrap_or_else(|| panic!("three sections: {value}"));
        Self { modes: next(), packets: next(), acks: next() }
    }

    fn all_near(these: &[String], those: &[String]) -> bool {
        these.len() == those.len()
            && these.iter().zip(those).all(|(one, other)| Self::read(one).is_near(&Self::read(other)))
    }

    fn is_near(&self, other: &Self) -> bool {
        (0..2).all(|side| {
            let few = self.packets[side].min(other.packets[side]) < Self::FEW;
            (few || self.modes[side] == other.modes[side])
                && self.packets[side].abs_diff(other.packets[side]) <= Self::PACKETS
                && self.acks[side].abs_diff(other.acks[side]) <= Self::ACKS
        })
    }
}

/// Records `scene` and asks both. The differences are those that `rules` explain, and each rule explains some.
fn asked(tools: &[&str], by: By, rules: &[Rule], scene: impl FnOnce(&Wire)) {
    let Some(python) = optional_python("ja4plus") else { return };
    if !require_root() || !require_tools(&["ip", "ethtool", "ss", "tcpdump"]) || !require_tools(tools) {
        return;
    }
    let wire = Wire::new();
    let tape = Tape::start(wire.server());
    scene(&wire);
    let recording = tape.stop();
    let (ours, version_2) = ours(&Sensor::new().replay(recording.file()), by);
    let mut differences = differences(&ours, &version_2, &theirs(&python, recording.file(), by));
    let mut used = BTreeSet::new();
    if by == By::Ports {
        // That addresses differ is in how connections are named, not in a value.
        used.insert(Rule::OuterAddresses);
    }
    for difference in &mut differences {
        for rule in rules {
            if difference.explained_by(*rule) {
                used.insert(*rule);
            }
        }
    }
    differences.retain(|difference| !difference.is_empty());
    assert!(differences.is_empty(), "no rule explains these: {differences:#?}");
    let unused: Vec<_> = rules.iter().filter(|rule| !used.contains(rule)).collect();
    assert!(unused.is_empty(), "these explain nothing: {unused:?}");
    assert!(!ours.is_empty());
}

#[test]
fn tls() {
    asked(&["openssl", "curl", "nginx"], By::Endpoints, &[Rule::LaterPacketC, Rule::NoShortSegment], scenes::tls);
}

#[test]
fn quic() {
    let rules =
        [Rule::SecondHello, Rule::OnlyPort443, Rule::NoKeysAfterRetry, Rule::NoCoalescedPackets, Rule::NoVersion2];
    // Whoever has ja4plus but not aioquic is told so.
    let Some(python) = optional_python("aioquic") else { return };
    asked(&["openssl"], By::Endpoints, &rules, |wire| scenes::quic(wire, &python));
}

#[test]
fn dtls() {
    asked(&["openssl"], By::Endpoints, &[Rule::NoDtls], scenes::dtls);
}

#[test]
fn http() {
    asked(&["curl", "nginx"], By::Endpoints, &[Rule::BareCookie], scenes::http1);
}

#[test]
fn http_2() {
    asked(&["curl", "nginx", "nghttp"], By::Endpoints, &[Rule::NoHttp2], scenes::http2);
}

#[test]
fn ssh() {
    asked(
        &["ssh", "scp", "ssh-keygen", "sshd", "taskset"],
        By::Endpoints,
        &[Rule::LaterPacketC, Rule::OtherSshPackets],
        scenes::ssh,
    );
}

#[test]
fn dhcp() {
    asked(&["dnsmasq", "udhcpc", "dhclient"], By::Nothing, &[], scenes::dhcp);
}

#[test]
fn tunnels() {
    for (encapsulation, v6) in
        [(Encapsulation::Vxlan, true), (Encapsulation::Gre, true), (Encapsulation::IpInIp, false)]
    {
        let rules = [Rule::OuterAddresses, Rule::LaterPacketC];
        asked(&["openssl", "curl", "nginx"], By::Ports, &rules, |wire| {
            let tunnel = Tunnel::new(wire, encapsulation);
            scenes::tunnelled(wire, &tunnel, v6);
        });
    }
}
