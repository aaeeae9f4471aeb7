//! Compares every field of the rule language with the output for the same connection.

use std::collections::BTreeSet;

use ja4_user::model::Method;
use ja4_user::model::field::{Field, Known, place};
use tests::certificate::{self, Certificate};
use tests::conversation::UdpConversation;
use tests::dhcp;
use tests::http::{browser_request, response};
use tests::packets::{Envelope, Sender};
use tests::quic::{QuicEnds, crypto};

use super::connections::with_mss;
use super::*;

const CONFIG: &str = "[first_seen]\nlearning = \"0\"\n[lookup]\nknown_bad = \"bad.toml\"\ndatabases = [\"own.toml\"]\n\
                      [rules]\nbuiltin = false\nfiles = [\"rules.toml\"]\n";
const BAD: &str =
    "[[pattern]]\ntype = \"ja4t\"\nmatch = \"64240_*\"\ncategory = \"odd\"\nconfidence = 60\nnote = \"mine\"\n";

/// Fields that are not in the connection event: a replay has no interfaces, and the handshake field is computed for
/// rules only.
const NOT_IN_OUTPUT: [&str; 2] = ["in_iface", "connection.handshake"];

/// Converts an output timestamp to seconds since 1970, by the day number in the Gregorian calendar.
fn seconds(time: &str) -> i64 {
    let number = |from: usize, to: usize| time[from..to].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Years start in March, so that a leap day is the last day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    86_400 * days + 3600 * number(11, 13) + 60 * number(14, 16) + number(17, 19)
}

/// Returns the JSON pointer of a field's value: the field's name, or one item of a list.
fn pointer(field: Field) -> String {
    let item = match field {
        Field::Vlan | Field::Alerts => "/0",
        Field::TlsAlpn => "/1",
        _ => "",
    };
    format!("/{}{item}", field.name().replace('.', "/"))
}

/// Returns a field's value in the output, in the notation of a rule.
fn output_value(field: Field, line: &Value, events: &[Value]) -> Option<String> {
    if is_method(field.name()) {
        // A rule is evaluated at the first value, so the newest value at that time is the first.
        return of_kind(events, field.name()).first().map(|event| event["fingerprint"]["value"].to_string());
    }
    match field {
        Field::IpVersion => return Some(if line["src_ip"].as_str()?.contains(':') { "6" } else { "4" }.to_owned()),
        Field::KnownBadFlag => return Some(line.get("known_bad").is_some().to_string()),
        Field::FirstSeen => return Some(line.get("first_seen").is_some().to_string()),
        Field::ConnectionDuration => {
            let [start, end] = ["start", "end"].map(|name| line["connection"][name].as_str().unwrap().to_owned());
            let nanoseconds = |time: &str| seconds(time) * 1_000_000_000 + time[20..29].parse::<i64>().unwrap();
            let milliseconds = (nanoseconds(&end) - nanoseconds(&start)) / 1_000_000;
            return Some(format!("\"{milliseconds}ms\""));
        }
        // Rules compare the whole identification string; the output has its parts.
        Field::SshClientBanner => return line.pointer("/ssh/client/software_version").map(Value::to_string),
        Field::SshServerBanner => return line.pointer("/ssh/server/software_version").map(Value::to_string),
        _ => {}
    }
    let value = line.pointer(&pointer(field))?;
    Some(match (value.as_str(), field.kind().is_number()) {
        (Some(time), true) if time.contains('T') => seconds(time).to_string(),
        // A number that the output writes as a string: 0x1301, or 1 for the QUIC version.
        (Some(number), true) => number.to_owned(),
        _ => value.to_string(),
    })
}

fn is_method(name: &str) -> bool {
    Method::ALL.iter().any(|method| method.name() == name)
}

/// Returns, for each field with a value, a rule that matches it and a rule that matches the opposite. `on` and `more`
/// are the same in all rules.
fn rules(on: &str, more: &str, values: &[(Field, String)]) -> String {
    let mut rules = String::new();
    for (field, value) in values {
        let (yes, no) = match field {
            Field::SshClientBanner | Field::SshServerBanner => (format!("op = \"contains\", value = {value}"), None),
            // The duration is in milliseconds, rounded down.
            Field::ConnectionDuration => {
                (format!("op = \"gte\", value = {value}"), Some(format!("op = \"lt\", value = {value}")))
            }
            // A list matches if any item matches, so no single value can express the opposite.
            Field::Alerts | Field::TlsAlpn => (format!("op = \"eq\", value = {value}"), None),
            _ => (format!("op = \"eq\", value = {value}"), Some(format!("op = \"ne\", value = {value}"))),
        };
        for (prefix, condition) in [("yes", Some(yes)), ("no", no)] {
            let Some(condition) = condition else { continue };
            rules += &format!(
                "[[rule]]\nname = \"{prefix}_{}\"\ndescription = \"x\"\non = \"{on}\"\nwindow = \"1m\"\n\
                 where = [{more}{{ field = \"{}\", {condition} }}]\nthreshold = {{ op = \"gte\", value = 1 }}\n",
                field.name(),
                field.name(),
            );
        }
    }
    rules
}

fn fired(events: &[Value]) -> BTreeSet<String> {
    let alerts =
        events::of_type(events, "alert").into_iter().map(|alert| details(alert)["rule"].as_str().unwrap().to_owned());
    alerts.filter(|name| name.starts_with("yes_") || name.starts_with("no_")).collect()
}

fn expected(values: &[(Field, String)]) -> BTreeSet<String> {
    values.iter().map(|(field, _)| format!("yes_{}", field.name())).collect()
}

/// Returns a folder with labels for the request of [`web_conversation`] and the server certificate of [`tls_conversation`].
fn folder_with_rules(rules: &str) -> EngineFolder {
    let label = |conversation: &TcpConversation, kind: &str, name: &str| {
        let events = replay("", conversation.packets());
        let value = &of_kind(&events, kind)[0]["fingerprint"]["value"];
        format!(
            "[[entry]]\ntype = \"{kind}\"\nvalue = {value}\nname = \"{name}\"\ncategory = \"tool\"\nconfidence = 77\n"
        )
    };
    let details = label(&web_conversation(), "ja4h", "Mine") + &label(&tls_conversation(), "ja4x", "My server");
    EngineFolder::new(CONFIG).with("bad.toml", BAD).with("own.toml", &details).with("rules.toml", rules)
}

/// Returns a TLS 1.2 connection with SNI, ALPN and certificates, in a VLAN, inside a tunnel.
fn tls_conversation() -> TcpConversation {
    let name = b"\x00\x0f\x00\x00\x0cshop.example";
    let hello = HelloMessageBuilder::new(0x0303, &[0xc02b, 0xc030]).extension(0, name).alpn(&[b"h2", b"http/1.1"]);
    let hello = hello.extension(0xfe0d, &[0; 8]).client();
    let chain = [certificate::leaf("shop.example"), certificate::authority()];
    let chain: Vec<_> = chain.iter().map(Certificate::build).collect();
    let body = certificate::message(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    let answer = HelloMessageBuilder::new(0x0303, &[0xc030]).alpn(&[b"h2"]).server();
    let flight = hello::records(&[answer, message, vec![14, 0, 0, 0]].concat(), 16_000);
    let vlan = Envelope { vlan: vec![100], ..Envelope::default() };
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:443", ms(0)).inside(vlan);
    conversation.syn_with(64_240, &with_mss(1380)).wait(ms(30)).syn_ack().wait(ms(1)).client_ack();
    conversation.client(&hello::records(&hello, usize::MAX)).wait(ms(10));
    for segment in flight.chunks(1200) {
        conversation.server(segment);
    }
    // ClientKeyExchange: the client's next message.
    conversation.wait(ms(5)).client(&hello::records(&[&[16, 0, 0, 33, 32][..], &[4; 32]].concat(), 16_000)).close();
    conversation
}

fn web_conversation() -> TcpConversation {
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    let request = browser_request("shop.example", "/", &mut SplitMix64::new(3));
    conversation.handshake().client(&request).server(&response(500)).wait(ms(2000)).close();
    conversation
}

fn ssh_conversation() -> TcpConversation {
    let mut random = SplitMix64::new(4);
    let mut conversation = conversation("[2001:db8::1]:51234", "[2001:db8::2]:22", ms(0));
    conversation.handshake().server(tests::ssh::BANNER).client(tests::ssh::BANNER);
    conversation.client(&tests::ssh::kex_init(&mut random)).server(&tests::ssh::kex_init(&mut random));
    for _ in 0..110 {
        conversation.client(&[0x80; 36]).server(&[0x81; 36]).client_ack();
    }
    conversation.close();
    conversation
}

/// Returns the packets of each sample conversation, by name.
fn sample_conversations() -> Vec<(&'static str, Vec<TimedFrame>)> {
    let mac = [2, 0, 0, 0, 0, 1];
    let mut lease = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    lease.client(&dhcp::client_v4(1, mac));
    let mut lease6 = UdpConversation::between("[fe80::1]:546", "[ff02::1:2]:547");
    lease6.client(&dhcp::client_v6(1, mac));
    let mut quic = UdpConversation::between("10.0.0.1:5000", "192.0.2.1:443");
    let ends = QuicEnds::new(&[1; 8], &[2; 8]);
    let hello = Shape::Go.client_hello("a.example", &mut SplitMix64::new(1));
    quic.client(&ends.initial(Sender::Client, 0, &crypto(0, &hello)));
    quic.server(&ends.initial(Sender::Server, 0, &crypto(0, &hello::server_hello_13(&mut SplitMix64::new(2)))));
    vec![
        ("tls", tls_conversation().packets().to_vec()),
        ("http", web_conversation().packets().to_vec()),
        ("ssh", ssh_conversation().packets().to_vec()),
        ("dhcp", lease.packets().to_vec()),
        ("dhcp6", lease6.packets().to_vec()),
        ("quic", quic.packets().to_vec()),
    ]
}

/// Returns whether rules on connections accept the field.
fn is_connection_field(field: Field) -> bool {
    field.is_in(place::RULE) && field.known() != Known::Fingerprint
}

#[test]
fn rules_on_connections_match_the_values_of_the_connection_event() {
    let mut compared = BTreeSet::new();
    for (name, packets) in sample_conversations() {
        let before = folder_with_rules("").replay(&packets, &["--ja3"]);
        let [line] = connections(&before)[..] else { panic!("{name}: {before:#?}") };
        let fields = Field::ALL.iter().filter(|field| is_connection_field(**field));
        let values: Vec<_> = fields.filter_map(|field| Some((*field, output_value(*field, line, &before)?))).collect();
        let events = folder_with_rules(&rules("connection", "", &values)).replay(&packets, &["--ja3"]);
        assert_eq!(fired(&events), expected(&values), "{name}: {values:#?}");
        compared.extend(values.into_iter().map(|(field, _)| field.name()));
    }
    let all = Field::ALL.iter().filter(|field| is_connection_field(**field)).map(|field| field.name());
    let missing: Vec<_> = all.filter(|name| !compared.contains(name)).collect();
    assert_eq!(missing, NOT_IN_OUTPUT, "fields without a value in any sample");
}

#[test]
fn rules_on_fingerprints_match_the_values_of_the_fingerprint_event() {
    let packets = tls_conversation().packets().to_vec();
    let before = folder_with_rules("").replay(&packets, &["--raw"]);
    let leaf_event = of_kind(&before, "ja4x")[0];
    let certificate = ["subject_cn", "issuer_cn", "notbefore", "notafter", "san_count"];
    assert!(
        certificate.iter().all(|name| leaf_event["tls"][*name] == leaf_event["certificate"][*name]),
        "{leaf_event:#}"
    );
    let rule_fields = Field::ALL.iter().filter(|field| field.is_in(place::RULE));
    let event_fields = rule_fields.clone().filter(|field| field.known() == Known::Fingerprint);
    let mut values: Vec<_> =
        event_fields.map(|field| (*field, leaf_event.pointer(&pointer(*field)).unwrap().to_string())).collect();
    values.push((Field::FirstSeen, leaf_event["first_seen"].to_string()));
    assert_eq!(values.len(), 10, "{values:?}");
    let certificate_fields =
        rule_fields.filter(|field| certificate.iter().any(|name| field.name() == format!("tls.{name}")));
    values.extend(certificate_fields.filter_map(|field| Some((*field, output_value(*field, leaf_event, &before)?))));
    assert_eq!(values.len(), 10 + 5, "{values:?}");
    let leaf = "{ field = \"fingerprint.type\", op = \"eq\", value = \"ja4x\" }, { field = \"fingerprint.count\", op = \"eq\", value = 1 }, ";
    let events = folder_with_rules(&rules("fingerprint", leaf, &values)).replay(&packets, &["--raw"]);
    assert_eq!(fired(&events), expected(&values), "{values:#?}");
}

#[test]
fn a_syn_alone_has_hops_and_a_path_but_no_os() {
    let rule = |name: &str, condition: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\ndescription = \"x\"\non = \"connection\"\nwindow = \"1m\"\n\
             where = [{{ field = {condition} }}]\nthreshold = {{ op = \"gte\", value = 1 }}\n"
        )
    };
    // These are Windows options, but the initial TTL of Windows is 128.
    let windows = [2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2];
    let rules = rule("yes_hops", "\"hops.client\", op = \"eq\", value = 0") + &rule("no_os", "\"os\", op = \"exists\"");
    let mut first = conversation("10.0.0.1:51234", "192.0.2.1:443", ms(0));
    first.syn_with(64_240, &windows);
    let events = folder_with_rules(&rules).replay(first.packets(), &[]);
    assert_eq!(fired(&events), BTreeSet::from(["yes_hops".to_owned()]));
    let line = of_port(&events, 51_234);
    assert_eq!((&line["hops"]["client"], line.get("os")), (&0.into(), None), "{line:#}");
    assert_eq!(line["path"], serde_json::json!({ "name": "ethernet", "confidence": 95, "mtu": 1500 }));
    assert!(line.get("tunnel").is_none());
}
