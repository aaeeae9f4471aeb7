use std::path::Path;

use super::*;
use crate::config::Config;
use crate::output::alert::rate_limit::AlertRate;

/// The sinks of a configuration, without a check.
fn parse(text: &str) -> Vec<SinkSettings> {
    let text = text.replace("[[sink]]", "[[alerts.sink]]");
    Config::parse(Path::new("s.toml"), &text).unwrap_or_else(|errors| panic!("{errors}")).alerts.sink
}

fn errors(text: &str) -> Vec<String> {
    check_sinks(&parse(text)).unwrap_err().iter().map(SinkError::to_string).collect()
}

#[test]
fn every_type_with_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "key of two words\n").unwrap();
    let text = format!(
        r#"
        [[sink]]
        type = "webhook"
        name = "soc"
        min_severity = "high"
        raw = true
        queue = 16
        rate = 5
        burst = 7
        timeout = "3s"
        retries = 2
        retry_initial = "100ms"
        retry_max_delay = "1s"
        retry_deadline = "1m"
        url = "https://hooks.example/a"
        method = "put"
        format = "slack"
        headers = {{ Authorization = "Bearer x" }}
        hmac_key_file = "{}"
        [[sink]]
        type = "syslog"
        address = "[::1]:6514"
        transport = "tls"
        server_name = "logs.example"
        facility = "authpriv"
        message = "cef"
        enterprise = 99999
        [[sink]]
        type = "syslog"
        address = "localhost:514"
        [[sink]]
        type = "cef"
        path = "{}/cef"
        [[sink]]
        type = "file"
        path = "alerts.json"
        rate = 0
        "#,
        key.display(),
        folder.path().display(),
    );
    let sinks = check_sinks(&parse(&text)).unwrap();
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
fn all_errors_are_reported_at_once() {
    let errors = errors(
        r#"
        [[sink]]
        type = "webhook"
        name = "a b"
        url = "http://hooks.example/secret"
        headers = { Host = "x", "b ad" = "x", X-Good = "a\nb" }
        hmac_key = ""
        queue = 0
        timeout = "2h"
        [[sink]]
        type = "syslog"
        address = "::1:514"
        facility = "local9"
        tls.ca = "x"
        [[sink]]
        type = "file"
        name = "syslog"
        path = "/no/such/folder/x"
        [[sink]]
        type = "cef"
        [[sink]]
        type = "cef"
        name = "to a file"
        path = "/tmp/alerts.cef"
        transport = "tls"
        "#,
    );
    let starts = [
        "alerts.sink 1 (a b): name: expected 1 to 64",
        "alerts.sink 1 (a b): queue: 0 is out of range; expected a value from 1 to 65536",
        "alerts.sink 1 (a b): timeout: 2h is out of range; expected a value from 10ms to 1m",
        "alerts.sink 1 (a b): url: is http to another host",
        "alerts.sink 1 (a b): headers: 'Host' is set by the sink",
        "alerts.sink 1 (a b): headers: the value of 'X-Good'",
        "alerts.sink 1 (a b): headers: 'b ad' is not a header name",
        "alerts.sink 1 (a b): hmac_key: is empty",
        "alerts.sink 2: tls.ca: needs transport tls",
        "alerts.sink 2: facility: unknown value 'local9': expected kern,",
        "alerts.sink 2: address: expected a host and a port",
        "alerts.sink 3 (syslog): name: another sink has this name",
        "alerts.sink 3 (syslog): path: /no/such/folder/x is not a file",
        "alerts.sink 4: address: is missing; write it as \"host:514\", or set path",
        "alerts.sink 5 (to a file): name: expected 1 to 64",
        "alerts.sink 5 (to a file): transport: needs an address, not a path",
    ];
    for start in starts {
        assert!(errors.iter().any(|error| error.starts_with(start)), "{start}\nin {errors:#?}");
    }
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    assert!(!errors.concat().contains("secret"));
}

#[test]
fn urls_are_https_or_http_to_this_host() {
    let refused = |url: &str| {
        let checked = check_sinks(&parse(&format!("[[sink]]\ntype = \"webhook\"\nurl = \"{url}\"")));
        checked.err().map(|errors| errors[0].reason.clone())
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
fn unknown_keys_and_values_are_rejected_with_their_positions() {
    for (text, expected) in [
        (
            "type = 'file'\ncolour = 1",
            "s.toml:3:1: alerts.sink 1: unknown key 'colour' for type 'file': expected name, ",
        ),
        ("type = 'file'\nurl = 'x'", "s.toml:3:1: alerts.sink 1: unknown key 'url' for type 'file': expected name, "),
        (
            "type = 'mail'",
            "s.toml:2:8: alerts.sink 1: type: unknown value 'mail': expected webhook, syslog, cef, file or journald",
        ),
        ("type = 'file'\nmin_severity = 'huge'", "s.toml:3:16: alerts.sink 1: min_severity: unknown severity 'huge'"),
        ("type = 'file'\ntimeout = '5 s'", "s.toml:3:11: alerts.sink 1: timeout: '5 s' is not a duration"),
        ("name = 'x'", "s.toml:1:1: alerts.sink 1: missing key 'type'"),
    ] {
        let error = Config::parse(Path::new("s.toml"), &format!("[[alerts.sink]]\n{text}")).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
