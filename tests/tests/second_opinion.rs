//! Compares our output with ja4plus 1.4.0, an independent implementation, on recordings of the test scenes. Each
//! difference must be covered by a row of section 13 of the specification or by an RFC. Every rule that a scene allows
//! must be used, so that obsolete rules are removed.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::tcpdump::Tcpdump;
use tests::tunnel::{Encapsulation, LiveTunnel};
use tests::{Outcome, Sensor, Wire, fingerprints, optional_python, process, require_root, require_tools, scenes};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/second_opinion.py");

/// Known deviations of ja4plus, with the rule that justifies our output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DeviationRule {
    /// Row A6 (and B3): it does not parse DTLS.
    NoDtls,
    /// Row A11: it also outputs the ClientHello after a Retry.
    SecondHello,
    /// Row C5: it drops a cookie without `=`.
    BareCookie,
    /// Row C1, and S5 for the hash of an empty string: it parses the HTTP/2 preface as an HTTP/1 request, and no other
    /// HTTP/2 request.
    NoHttp2,
    /// Row D1: after packet C, it outputs one more value for the client's first payload.
    LaterPacketC,
    /// Row D10: it outputs the outer addresses with the inner ports.
    OuterAddresses,
    /// Row D11: it measures QUIC latencies on port 443 only.
    OnlyPort443,
    /// Rows F4 and F5: it closes the last window at the first FIN, counts retransmissions, and counts one segment less
    /// if a message spans two. Its windows therefore begin one or two packets off.
    OtherSshPackets,
    /// No row. It looks for a ClientHello in segments of nine bytes or more: it misses one whose first segment is a
    /// single byte.
    NoShortSegment,
    /// No row. RFC 9369, section 3.3.2: it derives the keys of version 2 with the labels of version 1 and decrypts
    /// nothing.
    NoVersion2,
    /// No row. RFC 9001, section 5.2: it does not derive new server keys after a Retry.
    NoKeysAfterRetry,
    /// No row. RFC 9000, section 12.2: it parses only the first packet of a datagram. It misses a Handshake packet
    /// after an Initial, so rows D7 and D8 select other packets.
    NoCoalescedPackets,
}

/// Key by which connections of both outputs are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatchKey {
    Endpoints,
    /// For scenes in which addresses cannot be compared.
    Ports,
    /// For DHCP: the method does not attribute messages to a connection.
    Nothing,
}

/// Values of one connection and kind that only one of the two outputs has.
#[derive(Debug)]
struct Difference {
    kind: String,
    connection: String,
    /// QUIC version 2, according to our output.
    version_2: bool,
    /// All of our values of this connection and kind.
    ours_all: Vec<String>,
    ours: Vec<String>,
    theirs: Vec<String>,
}

/// Values in order, by kind and connection.
type ValuesByConnection = BTreeMap<(String, String), Vec<String>>;

fn connection(by: MatchKey, one: (&str, u64), other: (&str, u64)) -> String {
    let name = |(address, port): (&str, u64)| match by {
        MatchKey::Endpoints => format!("{address} {port}"),
        MatchKey::Ports => port.to_string(),
        MatchKey::Nothing => String::new(),
    };
    let mut ends = [name(one), name(other)];
    ends.sort();
    ends.join(" - ")
}

/// Returns our values and the connections of QUIC version 2.
fn ours(events: &[Value], by: MatchKey) -> (ValuesByConnection, BTreeSet<String>) {
    let (mut values, mut version_2) = (ValuesByConnection::new(), BTreeSet::new());
    for event in fingerprints(events) {
        let end =
            |address: &str, port: &str| (event[address].as_str().unwrap().to_owned(), event[port].as_u64().unwrap());
        let (client, server) = (end("src_ip", "src_port"), end("dest_ip", "dest_port"));
        let connection = connection(by, (&client.0, client.1), (&server.0, server.1));
        let text = |key: &str| event["fingerprint"][key].as_str().unwrap().to_owned();
        values.entry((text("type"), connection.clone())).or_default().push(text("value"));
        if event["quic"]["version"] == "2" {
            version_2.insert(connection);
        }
    }
    (values, version_2)
}

fn theirs(python: &Path, file: &Path, by: MatchKey) -> ValuesByConnection {
    let mut command = Command::new(python);
    command.arg(SCRIPT).arg(file);
    let outcome = Outcome::new(process::run(command, &[], process::LIMIT)).ok();
    let mut values = ValuesByConnection::new();
    for line in outcome.stdout().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let end = |key: &str| (line[key][0].as_str().unwrap().to_owned(), line[key][1].as_u64().unwrap());
        let (source, destination) = (end("source"), end("destination"));
        let connection = connection(by, (&source.0, source.1), (&destination.0, destination.1));
        let (kind, value) = canonical(line["kind"].as_str().unwrap(), line["value"].as_str().unwrap());
        values.entry((kind.to_owned(), connection)).or_default().push(value.to_owned());
    }
    values
}

/// Normalizes the notation of a latency (rows D2 and D5): a prefix for the side, and a third section for QUIC.
fn canonical<'a>(kind: &'a str, value: &'a str) -> (&'a str, &'a str) {
    let value = value.strip_suffix("_quic").unwrap_or(value);
    match (value.strip_prefix("JA4L-C="), value.strip_prefix("JA4L-S=")) {
        (Some(value), _) => ("ja4l", value),
        (_, Some(value)) => ("ja4ls", value),
        _ => (kind, value),
    }
}

/// Compares two values; latencies may differ by a microsecond (row D3).
fn same(kind: &str, one: &str, other: &str) -> bool {
    if !kind.starts_with("ja4l") {
        return one == other;
    }
    let split = |value: &str| value.split_once('_').map(|(time, ttl)| (time.parse::<u64>().unwrap(), ttl.to_owned()));
    let (Some((one, ttl)), Some((other, other_ttl))) = (split(one), split(other)) else { return false };
    ttl == other_ttl && one.abs_diff(other) <= 1
}

fn differences(
    ours: &ValuesByConnection,
    version_2: &BTreeSet<String>,
    theirs: &ValuesByConnection,
) -> Vec<Difference> {
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let values_of = |values: &ValuesByConnection, key| values.get(key).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for key in keys {
        let (kind, connection) = key.clone();
        let ours_all = values_of(ours, key);
        let (mut left, mut theirs) = (Vec::new(), values_of(theirs, key));
        let mut compared = ours_all.clone();
        if kind.starts_with("ja4d") {
            // A client repeats its message after a timeout; repeated values are ignored.
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

/// Returns the first `count` sections of a value.
fn sections(value: &str, count: usize) -> Vec<&str> {
    value.split('_').take(count).collect()
}

impl Difference {
    /// Removes the values that `rule` explains. Returns whether any were removed.
    fn explained_by(&mut self, rule: DeviationRule) -> bool {
        let before = self.ours.len() + self.theirs.len();
        let latency = self.kind == "ja4l" || self.kind == "ja4ls";
        let silent = self.theirs.is_empty();
        match rule {
            DeviationRule::NoShortSegment if silent && self.kind == "ja4" && self.is_at_port(9443) => self.ours.clear(),
            DeviationRule::NoDtls if silent && ["ja4", "ja4s", "ja4x"].contains(&self.kind.as_str()) => {
                self.ours.clear()
            }
            DeviationRule::SecondHello if self.kind == "ja4" => {
                self.theirs.retain(|value| !self.ours_all.contains(value))
            }
            DeviationRule::BareCookie if self.kind == "ja4h" => {
                // Method, counts and header names agree.
                let same = |one: &String, other: &String| sections(one, 2) == sections(other, 2);
                let (ours, theirs) = (self.ours.clone(), self.theirs.clone());
                self.ours.retain(|value| !theirs.iter().any(|other| same(value, other)));
                self.theirs.retain(|value| !ours.iter().any(|other| same(value, other)));
            }
            DeviationRule::NoHttp2 if self.kind == "ja4h" => {
                self.ours.retain(|value| value.get(2..4) != Some("20"));
                self.theirs.retain(|value| value != "pr20nn000000_e3b0c44298fc_000000000000_000000000000");
            }
            DeviationRule::OtherSshPackets
                if self.kind == "ja4ssh" && JA4SshWindow::all_near(&self.ours, &self.theirs) =>
            {
                self.ours.clear();
                self.theirs.clear();
            }
            DeviationRule::LaterPacketC if self.kind == "ja4l" && self.ours.is_empty() => self.theirs.clear(),
            DeviationRule::OnlyPort443 if latency && silent && !self.is_at_port(443) => self.ours.clear(),
            // It outputs the ClientHello of a connection that only the server's response upgrades to version 2.
            DeviationRule::NoVersion2 if silent && (self.version_2 || self.kind != "ja4") => self.ours.clear(),
            DeviationRule::NoKeysAfterRetry if silent && self.kind == "ja4s" => self.ours.clear(),
            DeviationRule::NoCoalescedPackets if latency => {
                if silent {
                    self.ours.clear();
                } else if self.ours.len() == self.theirs.len() {
                    // The packets differ, but the TTL must be the same.
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

/// A JA4SSH value: client and server of each section.
struct JA4SshWindow {
    modes: [u64; 2],
    packets: [u64; 2],
    acks: [u64; 2],
}

impl JA4SshWindow {
    /// Tolerance of the packet counts of a window.
    const PACKETS: u64 = 4;
    /// Tolerance of the bare ACK counts. ACKs of a bulk copy arrive in bursts, and a burst may fall into the window
    /// before or after.
    const ACKS: u64 = 10 * Self::PACKETS;
    /// Below this number of packets, one packet more or less may change the most frequent length.
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

/// Records `scene` and compares both outputs. `rules` must explain all differences, and each rule at least one.
fn compare_scene(tools: &[&str], by: MatchKey, rules: &[DeviationRule], scene: impl FnOnce(&Wire)) {
    let Some(python) = optional_python("ja4plus") else { return };
    if !require_root() || !require_tools(&["ip", "ethtool", "ss", "tcpdump"]) || !require_tools(tools) {
        return;
    }
    let wire = Wire::new();
    let tcpdump = Tcpdump::start(wire.server());
    scene(&wire);
    let recording = tcpdump.stop();
    let (ours, version_2) = ours(&Sensor::new().replay(recording.file()), by);
    let mut differences = differences(&ours, &version_2, &theirs(&python, recording.file(), by));
    let mut used = BTreeSet::new();
    if by == MatchKey::Ports {
        // Different addresses affect the connection key, not a value, so no difference shows this rule.
        used.insert(DeviationRule::OuterAddresses);
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
fn tls_values_agree_with_ja4plus() {
    compare_scene(
        &["openssl", "curl", "nginx"],
        MatchKey::Endpoints,
        &[DeviationRule::LaterPacketC, DeviationRule::NoShortSegment],
        scenes::tls,
    );
}

#[test]
fn quic_values_agree_with_ja4plus() {
    let rules = [
        DeviationRule::SecondHello,
        DeviationRule::OnlyPort443,
        DeviationRule::NoKeysAfterRetry,
        DeviationRule::NoCoalescedPackets,
        DeviationRule::NoVersion2,
    ];
    // If aioquic is missing, the skip is reported.
    let Some(python) = optional_python("aioquic") else { return };
    compare_scene(&["openssl"], MatchKey::Endpoints, &rules, |wire| scenes::quic(wire, &python));
}

#[test]
fn dtls_values_agree_with_ja4plus() {
    compare_scene(&["openssl"], MatchKey::Endpoints, &[DeviationRule::NoDtls], scenes::dtls);
}

#[test]
fn http_1_values_agree_with_ja4plus() {
    compare_scene(&["curl", "nginx"], MatchKey::Endpoints, &[DeviationRule::BareCookie], scenes::http1);
}

#[test]
fn http_2_values_agree_with_ja4plus() {
    compare_scene(&["curl", "nginx", "nghttp"], MatchKey::Endpoints, &[DeviationRule::NoHttp2], scenes::http2);
}

#[test]
fn ssh_values_agree_with_ja4plus() {
    compare_scene(
        &["ssh", "scp", "ssh-keygen", "sshd", "taskset"],
        MatchKey::Endpoints,
        &[DeviationRule::LaterPacketC, DeviationRule::OtherSshPackets],
        scenes::ssh,
    );
}

#[test]
fn dhcp_values_agree_with_ja4plus() {
    compare_scene(&["dnsmasq", "udhcpc", "dhclient"], MatchKey::Nothing, &[], scenes::dhcp);
}

#[test]
fn values_in_tunnels_agree_with_ja4plus() {
    for (encapsulation, v6) in
        [(Encapsulation::Vxlan(4789), true), (Encapsulation::Gre, true), (Encapsulation::IpInIp, false)]
    {
        let rules = [DeviationRule::OuterAddresses, DeviationRule::LaterPacketC];
        compare_scene(&["openssl", "curl", "nginx"], MatchKey::Ports, &rules, |wire| {
            let tunnel = LiveTunnel::new(wire, encapsulation);
            scenes::tunnelled(wire, &tunnel, v6);
        });
    }
}
