use super::*;

#[derive(Debug, Deserialize)]
struct FileTarget {
    sink: Vec<SinkConfig>,
}

fn parse(text: &str) -> Vec<SinkConfig> {
    toml::from_str::<FileTarget>(text).unwrap().sink
}

fn errors(text: &str) -> Vec<String> {
    SinkConfig::check(&parse(text)).unwrap_err().iter().map(SinkError::to_string).collect()
}

#[test]
fn every_kind_with_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "key of two words\n").unwrap();
    let text = format!(
        r#"
        [[sink]]
        kind = "webhook"
        name = "soc"
        min_severity = "high"
        raw = true
        queue = 16
        rate = 5
        burst = 7
        timeout = "3s"
        retries = 2
        retry_first = "100ms"
        retry_longest = "1s"
        retry_total = "1m"
        url = "https://hooks.example/a"
        method = "put"
        form = "slack"
        headers = {{ Authorization = "Bearer x" }}
        hmac_key_file = "{}"
        [[sink]]
        kind = "syslog"
        address = "[::1]:6514"
        transport = "tls"
        server_name = "logs.example"
        facility = "authpriv"
        message = "cef"
        enterprise = 99999
        [[sink]]
        kind = "syslog"
        address = "localhost:514"
        [[sink]]
        kind = "cef"
        path = "{}/cef"
        [[sink]]
        kind = "file"
        path = "alerts.json"
        rate = 0
        "#,
        key.display(),
        folder.path().display(),
    );
    let sinks = SinkConfig::check(&parse(&text)).unwrap();
    let names: Vec<_> = sinks.iter().map(Sink::name).collect();
    assert_eq!(names, ["soc", "syslog", "syslog-3", "cef", "file"]);
    assert_eq!(sinks[0].rate, Some(AlertRate { per_second: 5, burst: 7 }));
    assert_eq!(sinks[4].rate, None);
    let SinkTarget::Webhook(webhook) = &sinks[0].target else { unreachable!("the first is a webhook") };
    assert_eq!(webhook.hmac_key.as_ref().unwrap().reveal(), "key of two words");
    let SinkTarget::Syslog(syslog) = &sinks[1].target else { unreachable!("the second is syslog") };
    assert_eq!((syslog.header.facility, &*syslog.server_name), (10, "logs.example"));
    let shown = format!("{sinks:?}");
    assert!(!shown.contains("Bearer") && !shown.contains("hooks.example/") && !shown.contains("two words"), "{shown}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let told = errors(
        r#"
        [[sink]]
        kind = "webhook"
        name = "a b"
        url = "http://hooks.example/secret"
        headers = { Host = "x", "b ad" = "x", X-Good = "a\nb" }
        hmac_key = ""
        path = "x"
        queue = 0
        timeout = "2h"
        [[sink]]
        kind = "syslog"
        address = "::1:514"
        facility = "local9"
        ca_file = "x"
        [[sink]]
        kind = "file"
        name = "syslog"
        path = "/no/such/folder/x"
        [[sink]]
        kind = "cef"
        [[sink]]
        kind = "cef"
        name = "to a file"
        path = "/tmp/alerts.cef"
        transport = "tls"
        "#,
    );
    let starts = [
        "alerts.sink 1 (a b): name: has to be",
        "alerts.sink 1 (a b): path: is for kind file and cef, not webhook",
        "alerts.sink 1 (a b): queue: is 0; it may be 1 to 65536",
        "alerts.sink 1 (a b): timeout: is 2h; it may be 10ms to 1m",
        "alerts.sink 1 (a b): url: is http to another host",
        "alerts.sink 1 (a b): headers: 'Host' is set by the sink itself",
        "alerts.sink 1 (a b): headers: the value of 'X-Good'",
        "alerts.sink 1 (a b): headers: 'b ad' is no name",
        "alerts.sink 1 (a b): hmac_key: is empty",
        "alerts.sink 2: ca_file: is for transport tls",
        "alerts.sink 2: facility: 'local9' is none; there are kern,",
        "alerts.sink 2: address: has to be a host and a port",
        "alerts.sink 3 (syslog): name: another sink has it",
        "alerts.sink 3 (syslog): path: /no/such/folder/x is no file",
        "alerts.sink 4: address: is missing; say where to, as \"host:514\", or name a file as path",
        "alerts.sink 5 (to a file): name: has to be",
        "alerts.sink 5 (to a file): transport: is for an address, not a path",
    ];
    for start in starts {
        assert!(told.iter().any(|told| told.starts_with(start)), "{start}\nin {told:#?}");
    }
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    assert!(!told.concat().contains("secret"));
}

#[test]
fn urls_are_https_or_of_this_host() {
    let refused = |url: &str| {
        let told = SinkConfig::check(&parse(&format!("[[sink]]\nkind = \"webhook\"\nurl = \"{url}\"")));
        told.err().map(|told| told[0].reason.clone())
    };
    for good in ["https://h/", "http://127.0.0.1:1/x", "http://[::1]/", "http://LOCALHOST:8080/x?y"] {
        assert_eq!(refused(good), None, "{good}");
    }
    for bad in [
        "http://127.0.0.1.evil.example/",
        "ftp://h/",
        "/x",
        "h",
        "",
        "https://",
        "https://a:b@h/",
        "http://localhost@h/",
    ] {
        assert!(refused(bad).is_some(), "{bad}");
    }
}

#[test]
fn unknown_keys_and_values_are_refused_with_their_place() {
    for (text, told) in [
        ("[[sink]]\nkind = \"file\"\ncolour = 1", "unknown field `colour`"),
        ("[[sink]]\nkind = \"mail\"", "unknown variant `mail`"),
        ("[[sink]]\nkind = \"file\"\nmin_severity = \"huge\"", "'huge' is no severity"),
        ("[[sink]]\nkind = \"file\"\ntimeout = \"5 s\"", "'5 s' is no duration"),
        ("[[sink]]\nname = \"x\"", "missing field `kind`"),
    ] {
        let error = toml::from_str::<FileTarget>(text).unwrap_err();
        assert!(error.to_string().contains(told) && error.span().is_some(), "{error}");
    }
}
