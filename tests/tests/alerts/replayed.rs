//! Alerts of a replay, delivered by the binary: hostile names from the wire at every receiver, beside webhooks that
//! stall, fail and send garbage.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::conversation::{TcpConversation, UdpConversation};
use tests::hello_builder::HelloMessageBuilder;
use tests::packets::{TimedFrame, capture_file};
use tests::process::{self, LIMIT, collect, until};
use tests::{Outcome, Sensor, dhcp, events, hello, require_tools, stats_u64};

use super::SOON;
use super::certificate::Certificates;
use super::rsyslog::Rsyslog;
use super::server::{Reply, Server, status};

/// Names that would inject a field, a line or a mention if unescaped: a server name (reported only if it is printable
/// and has no space), a User-Agent, a DHCP host name.
const NAMES: [&str; 3] = [
    "x\"rule=\"forged\"]<165>1|CEF:0|src=6.6.6.6\\=<!channel>",
    "a\u{1b}[2J\\|=CEF:0|b <!channel>",
    "name\n<34>1 CEF:0|src=6.6.6.6 \u{1}",
];

fn capture(folder: &TempDir) -> String {
    let [sni, agent, host] = NAMES;
    let entry = [&[0][..], &(sni.len() as u16).to_be_bytes(), sni.as_bytes()].concat();
    let list = [&(entry.len() as u16).to_be_bytes()[..], &entry].concat();
    let tls = HelloMessageBuilder::new(0x0303, &[0x1301, 0x1302]).extension(0, &list).versions(&[0x0304]);
    let mut first = TcpConversation::between("10.0.0.1:40001", "192.0.2.1:443");
    first.handshake().client(&hello::records(&tls.client(), usize::MAX)).close();
    let request = format!("GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n");
    let mut second = TcpConversation::between("10.0.0.2:40002", "192.0.2.1:80");
    second.at(Duration::from_secs(1)).handshake().client(request.as_bytes()).close();
    let mac = [2, 0, 0, 0, 0, 9];
    let discover = dhcp::v4(1, mac, &[(53, &[1]), (12, host.as_bytes()), (55, &[1, 3, 6])]);
    let mut third = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    third.at(Duration::from_secs(2)).client(&discover);
    let packets: Vec<TimedFrame> = [first.packets(), second.packets(), third.packets()].concat();
    capture_file(folder.path(), "hostile.pcap", &packets).to_str().unwrap().to_owned()
}

/// Name and field of a rule for each hostile name. The alert's group contains the field.
const RULES: [(&str, &str); 3] = [("names", "tls.sni"), ("agents", "http.http_user_agent"), ("hosts", "dhcp.hostname")];

fn rules() -> String {
    let rule = |(name, field): (&str, &str)| {
        format!(
            "[[rule]]\nname = \"{name}\"\nseverity = \"high\"\non = \"fingerprint\"\n\
             where = [{{ field = \"{field}\", op = \"exists\", value = true }}]\ngroup_by = [\"{field}\"]\n\
             measure = \"count\"\nthreshold = {{ op = \"gte\", value = 1 }}\nwindow = \"5m\"\ncooldown = \"1h\"\n"
        )
    };
    RULES.map(rule).concat()
}

#[test]
fn hostile_names_reach_every_sink_as_plain_text() {
    if !require_tools(&["rsyslogd", "openssl"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let certificates = Certificates::new();
    let (plain, tls) = (Rsyslog::start(None), Rsyslog::start(Some(&certificates)));
    let good = Server::start(|_| status("204 No Content"));
    let slack = Server::start(|_| status("200 OK"));
    let stalls = Server::start(|_| Reply::Stall(Duration::from_secs(3600)));
    let fails = Server::start(|_| status("500 Internal Server Error"));
    let garbage = Server::start(|_| Reply::Close(b"\0\xffgarbage\r\n\r\n".to_vec()));
    let hook = |name: &str, server: &Server, more: &str| {
        format!(
            "[[alerts.sink]]\ntype = \"webhook\"\nname = \"{name}\"\nurl = \"{}\"\ntimeout = \"500ms\"\nretries = 1\n\
             retry_initial = \"10ms\"\nrate = 0\nmin_severity = \"high\"\n{more}\n",
            server.url("http")
        )
    };
    let syslog = |name: &str, port: u16, more: &str| {
        format!(
            "[[alerts.sink]]\ntype = \"syslog\"\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\n\
             transport = \"{name}\"\nrate = 0\nmin_severity = \"high\"\n{more}\n"
        )
    };
    let file = |kind: &str| {
        format!("[[alerts.sink]]\ntype = \"{kind}\"\nname = \"{kind}\"\npath = \"{kind}\"\nmin_severity = \"high\"\n")
    };
    let trusted = format!("tls.ca = \"{}\"", certificates.path("root.pem"));
    let config = [
        "[output]\nsensor = \"sensor-1\"\n[rules]\nfiles = [\"rules.toml\"]\n".to_owned(),
        hook("good", &good, ""),
        hook("slack", &slack, "format = \"slack\""),
        hook("stalls", &stalls, ""),
        hook("fails", &fails, ""),
        hook("garbage", &garbage, ""),
        syslog("udp", plain.udp, ""),
        syslog("tcp", plain.tcp, ""),
        syslog("tls", tls.tcp, &trusted),
        file("cef"),
        file("file"),
    ];
    let path = |name: &str| folder.path().join(name);
    fs::write(path("sensor.toml"), config.concat()).unwrap();
    fs::write(path("rules.toml"), rules()).unwrap();
    let arguments = ["replay", "--config", path("sensor.toml").to_str().unwrap(), &capture(&folder)].map(str::to_owned);
    let events = Sensor::new().run(&arguments).ok().events();

    let alerts: Vec<_> = events::of_type(&events, "alert");
    let count_of = |rule: &str| alerts.iter().filter(move |event| event["alert"]["ja4sensor"]["rule"] == rule).count();
    assert_eq!(RULES.map(|(rule, _)| count_of(rule)), [1, 1, 1], "{alerts:#?}");
    let high = alerts.iter().filter(|event| event["alert"]["severity"].as_u64() <= Some(2)).count();
    assert_eq!(high, 3, "{alerts:#?}");

    // JSON: the unchanged text.
    let group = |alert: &Value, field: &str| alert["alert"]["ja4sensor"]["group"][field].as_str().map(str::to_owned);
    let bodies: Vec<Value> =
        good.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    let lines: Vec<Value> =
        fs::read_to_string(path("file")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for received in [&bodies, &lines] {
        assert_eq!(received.len(), 3);
        for ((alert, (rule, field)), name) in received.iter().zip(RULES).zip(NAMES) {
            assert_eq!(alert["alert"]["ja4sensor"]["rule"], rule);
            assert_eq!(group(alert, field).as_deref(), Some(name));
        }
    }
    // Slack: no mention, and one line.
    let texts: Vec<Value> =
        slack.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert_eq!(texts.len(), 3);
    for text in texts.iter().map(|body| body["text"].as_str().unwrap()) {
        assert!(!text.contains(['<', '>']) && !text.contains(char::is_control), "{text:?}");
    }
    // CEF: one line per alert; only the bars of the header are unescaped.
    let cef = fs::read_to_string(path("cef")).unwrap();
    assert_eq!(cef.lines().count(), 3, "{cef}");
    for (line, (rule, _)) in cef.lines().zip(RULES) {
        assert!(line.starts_with("CEF:0|ja4sensor|ja4sensor|") && line.contains(&format!("|{rule}|")), "{line}");
        assert!(!line.contains(char::is_control) && !line.contains("src=6.6.6.6"), "{line:?}");
    }
    // Syslog: the receivers parse the fields correctly.
    for (received, count) in [(plain.lines(6), 6), (tls.lines(3), 3)] {
        for (rule, _) in RULES {
            let of_rule: Vec<_> = received.iter().filter(|line| line[4] == rule).collect();
            assert_eq!(of_rule.len(), count / 3, "{received:#?}");
            for line in of_rule {
                assert_eq!((line[0].as_str(), line[2].as_str(), line[3].as_str()), ("131", "sensor-1", "ja4sensor"));
                let data = format!("[ja4sensor@32473 rule=\"{rule}\" severity=\"high\" ");
                assert!(line[5].starts_with(&data), "{line:?}");
                assert!(!line[5].contains("rule=\"forged\"]"), "{line:?}");
                assert_eq!(line.len(), 7, "{line:?}");
            }
        }
    }
    // All alerts of the failing sinks are counted, and the other sinks are not delayed.
    let last = *events::of_type(&events, "stats").last().unwrap();
    let count = |sink: &str, name: &str| stats_u64(last, &["sinks", sink, name]);
    for sink in ["good", "slack", "udp", "tcp", "tls", "cef", "file"] {
        assert_eq!((count(sink, "sent"), count(sink, "offered")), (3, alerts.len() as u64), "{sink}: {last:#}");
    }
    for sink in ["stalls", "fails", "garbage"] {
        let lost = count(sink, "failed") + count(sink, "abandoned") + count(sink, "queue_full");
        assert_eq!((count(sink, "sent"), lost), (0, 3), "{sink}: {last:#}");
    }
    assert!(json!(last["stats"]["sinks"]["garbage"]).to_string().contains("error"), "{last:#}");
}

#[test]
fn a_sink_that_cannot_deliver_is_logged() {
    let folder = TempDir::new().unwrap();
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let server =
        Server::start(move |_| status(if up.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" }));
    let config = folder.path().join("sensor.toml");
    let text = format!(
        "[first_seen]\nlearning = \"0\"\n[[alerts.sink]]\ntype = \"webhook\"\nname = \"hook\"\nurl = \"{}\"\n\
         retries = 100\nretry_initial = \"100ms\"\nretry_max_delay = \"100ms\"\nretry_deadline = \"60s\"\nrate = 0\n",
        server.url("http")
    );
    fs::write(&config, text).unwrap();
    let stderr = folder.path().join("stderr");
    let mut sensor = Sensor::new()
        .command(&["replay", "--shards", "1", "--types", "stats", "--config", config.to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let mut stdin = sensor.stdin.take().unwrap();
    let stderr = || fs::read_to_string(&stderr).unwrap();
    // Each connection has a value that is not in an earlier one.
    let mut feed = |number: u8, at: usize| {
        let mut conversation = TcpConversation::between(&format!("10.0.0.{number}:4000{number}"), "192.0.2.1:80");
        conversation.at(Duration::from_secs(number.into())).handshake();
        let header = format!("X-{number}: 1\r\n");
        conversation.client(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{header}\r\n").as_bytes()).close();
        let file = capture_file(folder.path(), "part.pcap", conversation.packets());
        stdin.write_all(&fs::read(file).unwrap()[at..]).unwrap();
    };
    let count = |text: &str| stderr().matches(text).count();

    feed(1, 0);
    // The alert is raised one second of packet time after the first new value. The file header is sent only once.
    feed(3, 24);
    assert!(until(SOON, || count("alert sink hook cannot deliver: 127.0.0.1: HTTP status 503") == 1), "{}", stderr());
    is_up.store(true, Ordering::Relaxed);
    assert!(until(SOON, || count("alert sink hook delivers again after ") == 1), "{}", stderr());
    assert!(until(SOON, || server.requests().len() > 1));
    is_up.store(false, Ordering::Relaxed);
    feed(5, 24);
    drop(stdin);
    let stdout = collect(sensor.stdout.take().unwrap());
    assert!(sensor.wait().unwrap().success(), "{}", stderr());
    let events = events::parse(std::str::from_utf8(&stdout.join().unwrap()).unwrap());
    let last = *events::of_type(&events, "stats").last().unwrap();
    let stat = |name: &str| stats_u64(last, &["sinks", "hook", name]);
    let lost = stat("failed") + stat("abandoned") + stat("queue_full");
    assert!(lost > 0, "{last:#}");
    let loss = format!("alert sink hook lost {lost} of {} alerts: ", stat("offered"));
    assert_eq!(count(&loss), 1, "{}", stderr());
    assert!(!stderr().contains("secret-path"), "{}", stderr());
}

#[test]
fn webhooks_trust_the_certificates_of_the_system_and_of_the_configuration() {
    if !require_tools(&["openssl"]) {
        return;
    }
    let (own, other) = (Certificates::new(), Certificates::new());
    let server = Server::tls(&own, |_| status("200 OK"));
    let folder = TempDir::new().unwrap();
    let capture = capture(&folder);
    fs::write(folder.path().join("rules.toml"), rules()).unwrap();
    let replay = |system: &str, ca: &str| {
        let config = format!(
            "[rules]\nfiles = [\"rules.toml\"]\n[[alerts.sink]]\ntype = \"webhook\"\nname = \"hook\"\nurl = \"{}\"\n\
             retries = 0\nmin_severity = \"high\"\n{ca}\n",
            server.url("https")
        );
        let path = folder.path().join("sensor.toml");
        fs::write(&path, config).unwrap();
        let mut command = Sensor::new().command(&["replay", "--config", path.to_str().unwrap(), &capture]);
        // An empty folder, so that only the file is the system's store.
        command.env("SSL_CERT_FILE", system).env("SSL_CERT_DIR", folder.path());
        Outcome::new(process::run(command, &[], LIMIT))
    };
    let hook = |outcome: Outcome| {
        let events = outcome.ok().events();
        events::of_type(&events, "stats").last().unwrap()["stats"]["sinks"]["hook"].clone()
    };
    let (own, other) = (own.path("root.pem"), other.path("root.pem"));
    for (system, ca) in
        [(&own, String::new()), (&other, format!("tls.ca = \"{own}\"")), (&own, format!("tls.ca = \"{other}\""))]
    {
        let stats = hook(replay(system, &ca));
        assert_eq!((stats["sent"].as_u64(), stats["failed"].as_u64()), (Some(3), Some(0)), "{ca} {stats:#}");
    }
    let stats = hook(replay(&other, ""));
    assert_eq!((stats["sent"].as_u64(), stats["failed"].as_u64()), (Some(0), Some(3)), "{stats:#}");
    assert!(stats["error"].as_str().unwrap().contains("invalid peer certificate"), "{stats:#}");
    // No store at all.
    let missing = folder.path().join("missing.pem");
    let missing = missing.to_str().unwrap();
    let stats = hook(replay(missing, &format!("tls.ca = \"{own}\"")));
    assert_eq!(stats["sent"], 3, "{stats:#}");
    replay(missing, "").status(2).stderr_has("install ca-certificates, or set tls.ca").stderr_has_one_line();
}
