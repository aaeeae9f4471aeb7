//! From what the file says to what can be started, and all that is wrong with it.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::{
    AlertRate, FileTarget, RetryPolicy, Secret, Severity, Sink, SinkConfig, SinkError, SinkKind, SinkTarget,
    SyslogContent, SyslogHeader, SyslogMessage, SyslogTarget, SyslogTransport, TrustedRoots, WebhookFormat,
    WebhookTarget,
};
use crate::units::Span;

/// Sinks: each has a thread.
const MAX_SINKS: usize = 32;
/// Alerts that wait in one queue; an alert takes about a kilobyte.
const QUEUE: RangeInclusive<u32> = 1..=65_536;
const DEFAULT_QUEUE: u32 = 1024;
/// Alerts a second: a person reads none of them, a program a few.
const DEFAULT_RATE: u32 = 50;
const DEFAULT_BURST: u32 = 500;
const BURST: RangeInclusive<u32> = 1..=1_000_000;
/// Bounds of one try. What takes longer than a minute is no answer.
const TIMEOUT: RangeInclusive<Span> = Span::milliseconds(10)..=Span::seconds(60);
const DEFAULT_TIMEOUT: Span = Span::seconds(10);
/// Bounds of retries: with them no alert is held for longer than an hour.
const RETRIES: RangeInclusive<u32> = 0..=100;
const DEFAULT_RETRIES: u32 = 5;
const WAIT: RangeInclusive<Span> = Span::milliseconds(1)..=Span::seconds(3600);
const DEFAULT_FIRST: Span = Span::milliseconds(500);
const DEFAULT_LONGEST: Span = Span::seconds(30);
const DEFAULT_TOTAL: Span = Span::seconds(120);
/// A bundle of certificates, bytes: the public ones of a system take 220 KiB. A key is one line.
const MAX_CA_FILE: u64 = 4 << 20;
const MAX_KEY_FILE: u64 = 4096;
/// The number that RFC 5612 keeps for examples.
const EXAMPLE_ENTERPRISE: u32 = 32_473;

/// Headers that the webhook sets itself, or that frame the message.
const OWN_HEADERS: [&str; 6] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "x-signature-256"];

/// Names of facilities by number (RFC 5424, section 6.2.1); 12 to 15 have none that is common.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const DEFAULT_FACILITY: &str = "local0";

impl SinkConfig {
    /// Checks all sinks of a file, and reads the files they name.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn check(sinks: &[Self]) -> Result<Vec<Sink>, Vec<SinkError>> {
        let mut errors = Vec::new();
        let mut names = HashSet::new();
        let mut good = Vec::new();
        for (number, config) in (1..).zip(sinks) {
            let mut check = SinkCheck { config, number, errors: Vec::new() };
            if number > MAX_SINKS {
                check.wrong("kind", format!("there are {} sinks, and {MAX_SINKS} may be", sinks.len()));
            }
            let name = check.name(&mut names);
            good.extend(check.sink(name));
            errors.append(&mut check.errors);
        }
        if errors.is_empty() { Ok(good) } else { Err(errors) }
    }
}

struct SinkCheck<'a> {
    config: &'a SinkConfig,
    number: usize,
    errors: Vec<SinkError>,
}

impl SinkCheck<'_> {
    fn wrong(&mut self, key: &'static str, reason: impl Into<String>) {
        let name = self.config.name.clone();
        self.errors.push(SinkError { number: self.number, name, key, reason: reason.into() });
    }

    /// The name, or one that nobody has taken.
    fn name(&mut self, names: &mut HashSet<String>) -> String {
        let kind = self.config.kind.name();
        let name = match &self.config.name {
            Some(name) => name.clone(),
            None if names.contains(kind) => format!("{kind}-{}", self.number),
            None => kind.to_owned(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            self.wrong("name", "has to be 1 to 64 letters, digits, '-', '_' or '.'");
        }
        if !names.insert(name.clone()) {
            self.wrong("name", "another sink has it; statistics tell sinks apart by name");
        }
        name
    }

    fn sink(&mut self, name: String) -> Option<Sink> {
        let config = self.config;
        self.strangers();
        let queue = config.queue.unwrap_or(DEFAULT_QUEUE);
        self.within("queue", queue, &QUEUE);
        let burst = config.burst.unwrap_or(DEFAULT_BURST);
        self.within("burst", burst, &BURST);
        let rate = match config.rate.unwrap_or(DEFAULT_RATE) {
            0 => None,
            per_second => Some(AlertRate { per_second, burst }),
        };
        let retries = config.retries.unwrap_or(DEFAULT_RETRIES);
        self.within("retries", retries, &RETRIES);
        let timeout = self.time("timeout", config.timeout, DEFAULT_TIMEOUT, &TIMEOUT);
        let retry = RetryPolicy {
            retries,
            initial: self.time("retry_first", config.retry_first, DEFAULT_FIRST, &WAIT),
            max_delay: self.time("retry_longest", config.retry_longest, DEFAULT_LONGEST, &WAIT),
            deadline: self.time("retry_total", config.retry_total, DEFAULT_TOTAL, &WAIT),
        };
        if retry.initial > retry.max_delay {
            self.wrong("retry_first", "is longer than retry_longest");
        }
        let target = match config.kind {
            SinkKind::Webhook => self.webhook().map(SinkTarget::Webhook),
            SinkKind::Syslog => self.syslog(match config.message.unwrap_or_default() {
                SyslogMessage::Text => SyslogContent::Text,
                SyslogMessage::Cef => SyslogContent::Cef,
            }),
            SinkKind::Cef if config.path.is_some() => {
                if config.address.is_some() {
                    self.wrong("path", "a sink of kind cef has an address or a path, not both");
                }
                for (key, given) in [
                    ("transport", config.transport.is_some()),
                    ("facility", config.facility.is_some()),
                    ("server_name", config.server_name.is_some()),
                    ("ca_file", config.ca_file.is_some()),
                ] {
                    if given {
                        self.wrong(key, "is for an address, not a path");
                    }
                }
                self.file(true)
            }
            SinkKind::Cef => self.syslog(SyslogContent::BareCef),
            SinkKind::File => self.file(false),
        }?;
        Some(Sink {
            name,
            min_severity: config.min_severity.unwrap_or(Severity::Low),
            raw: config.raw.unwrap_or(false),
            queue: queue as usize,
            rate,
            retry,
            timeout,
            target,
        })
    }

    /// Keys that belong to other kinds.
    fn strangers(&mut self) {
        use SinkKind::{Cef, File, Syslog, Webhook};

        let config = self.config;
        let table: [(&'static str, bool, &[SinkKind]); 15] = [
            ("url", config.url.is_some(), &[Webhook]),
            ("method", config.method.is_some(), &[Webhook]),
            ("form", config.form.is_some(), &[Webhook]),
            ("headers", config.headers.is_some(), &[Webhook]),
            ("hmac_key", config.hmac_key.is_some(), &[Webhook]),
            ("hmac_key_file", config.hmac_key_file.is_some(), &[Webhook]),
            ("allow_http", config.allow_http.is_some(), &[Webhook]),
            ("address", config.address.is_some(), &[Syslog, Cef]),
            ("transport", config.transport.is_some(), &[Syslog, Cef]),
            ("facility", config.facility.is_some(), &[Syslog, Cef]),
            ("message", config.message.is_some(), &[Syslog]),
            ("enterprise", config.enterprise.is_some(), &[Syslog]),
            ("server_name", config.server_name.is_some(), &[Syslog, Cef]),
            ("ca_file", config.ca_file.is_some(), &[Webhook, Syslog, Cef]),
            ("path", config.path.is_some(), &[File, Cef]),
        ];
        for (key, given, kinds) in table {
            if given && !kinds.contains(&config.kind) {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                self.wrong(key, format!("is for kind {}, not {}", kinds.join(" and "), config.kind.name()));
            }
        }
    }

    fn within(&mut self, key: &'static str, value: u32, range: &RangeInclusive<u32>) {
        if !range.contains(&value) {
            self.wrong(key, format!("is {value}; it may be {} to {}", range.start(), range.end()));
        }
    }

    fn time(
        &mut self,
        key: &'static str,
        given: Option<Span>,
        default: Span,
        range: &RangeInclusive<Span>,
    ) -> Duration {
        let value = given.unwrap_or(default);
        if !range.contains(&value) {
            self.wrong(key, format!("is {value}; it may be {} to {}", range.start(), range.end()));
        }
        value.0
    }

    fn webhook(&mut self) -> Option<WebhookTarget> {
        let config = self.config;
        let host = self.url();
        let headers = config.headers.clone().unwrap_or_default();
        for (name, value) in &headers {
            let shown = name.escape_debug();
            if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.wrong("headers", format!("'{shown}' is set by the sink itself"));
            } else if HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.wrong("headers", format!("'{shown}' is no name of a header"));
            } else if HeaderValue::from_str(value.reveal()).is_err() {
                self.wrong("headers", format!("the value of '{shown}' has characters that no header may have"));
            }
        }
        let hmac_key = self.hmac_key();
        let roots = self.roots();
        let (url, (host, loopback)) = (config.url.clone()?, host?);
        Some(WebhookTarget {
            url,
            host,
            loopback,
            method: config.method.unwrap_or_default(),
            form: config.form.unwrap_or(WebhookFormat::Json),
            headers,
            hmac_key,
            roots,
        })
    }

    /// Host of the URL, and whether it is this one.
    fn url(&mut self) -> Option<(String, bool)> {
        let Some(url) = &self.config.url else {
            self.wrong("url", "is missing; a webhook needs one, as \"https://host/path\"");
            return None;
        };
        let parsed: Option<Uri> = url.reveal().parse().ok();
        let host = parsed.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
        let (Some(scheme), Some(host)) = (parsed.as_ref().and_then(Uri::scheme_str), host) else {
            self.wrong("url", "is no URL; it has to be as \"https://host/path\"");
            return None;
        };
        let loopback = is_loopback(host);
        match scheme {
            "https" => {}
            "http" if loopback || self.config.allow_http == Some(true) => {}
            "http" => self
                .wrong("url", "is http to another host, which everybody on the way reads; take https, or allow_http"),
            _ => self.wrong("url", "has to be https, or http to this host"),
        }
        if parsed.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().contains('@')) {
            self.wrong("url", "has a user in it; put an Authorization into headers");
        }
        Some((host.to_owned(), loopback))
    }

    fn hmac_key(&mut self) -> Option<Secret> {
        let key = match (&self.config.hmac_key, &self.config.hmac_key_file) {
            (Some(_), Some(_)) => {
                self.wrong("hmac_key", "and hmac_key_file are both given; which is it?");
                return None;
            }
            (Some(key), None) => key.clone(),
            (None, Some(path)) => {
                let text = self.read("hmac_key_file", path, MAX_KEY_FILE)?;
                let Ok(text) = String::from_utf8(text) else {
                    self.wrong("hmac_key_file", "is not UTF-8; a key is one line of text");
                    return None;
                };
                Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None) => return None,
        };
        if key.reveal().is_empty() {
            self.wrong("hmac_key", "is empty; anybody could sign with it");
        }
        Some(key)
    }

    fn syslog(&mut self, content: SyslogContent) -> Option<SinkTarget> {
        let config = self.config;
        let transport = config.transport.unwrap_or_default();
        if transport != SyslogTransport::Tls {
            for (key, given) in [("server_name", config.server_name.is_some()), ("ca_file", config.ca_file.is_some())] {
                if given {
                    self.wrong(key, "is for transport tls");
                }
            }
        }
        let word = config.facility.as_deref().unwrap_or(DEFAULT_FACILITY);
        let facility = (0..).zip(FACILITIES).find_map(|(number, name)| (name == word).then_some(number));
        if facility.is_none() {
            self.wrong("facility", format!("'{}' is none; there are {}", word.escape_debug(), FACILITIES.join(", ")));
        }
        let Some(address) = &config.address else {
            let or = if matches!(self.config.kind, SinkKind::Cef) { ", or name a file as path" } else { "" };
            self.wrong("address", format!("is missing; say where to, as \"host:514\"{or}"));
            return None;
        };
        let host = address.rsplit_once(':').filter(|(host, port)| {
            let bare_v6 = host.contains(':') && !host.starts_with('[');
            !host.is_empty() && !bare_v6 && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        let Some((host, _)) = host else {
            self.wrong("address", "has to be a host and a port, as \"host:514\" or \"[::1]:514\"");
            return None;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server_name = config.server_name.clone().unwrap_or_else(|| host.to_owned());
        if transport == SyslogTransport::Tls && ServerName::try_from(server_name.as_str()).is_err() {
            self.wrong(
                "server_name",
                format!("'{}' is no name that a certificate could have", server_name.escape_debug()),
            );
        }
        let roots = if transport == SyslogTransport::Tls { self.roots() } else { None };
        Some(SinkTarget::Syslog(SyslogTarget {
            address: address.clone(),
            transport,
            header: SyslogHeader { facility: facility?, enterprise: config.enterprise.unwrap_or(EXAMPLE_ENTERPRISE) },
            content,
            server_name,
            roots,
        }))
    }

    fn file(&mut self, cef: bool) -> Option<SinkTarget> {
        let Some(path) = &self.config.path else {
            self.wrong("path", "is missing; say which file lines are appended to");
            return None;
        };
        if !path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir()) || path.is_dir() {
            self.wrong("path", format!("{} is no file in a folder that exists", path.display()));
        }
        Some(SinkTarget::File(FileTarget { path: path.clone(), cef }))
    }

    fn roots(&mut self) -> TrustedRoots {
        let path = self.config.ca_file.as_ref()?;
        let text = self.read("ca_file", path, MAX_CA_FILE)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.unwrap_or_default();
        let mut store = RootCertStore::empty();
        if certificates.is_empty() || certificates.iter().any(|certificate| store.add(certificate.clone()).is_err()) {
            self.wrong("ca_file", format!("{} has no certificates in PEM, or one that is broken", path.display()));
        }
        Some(certificates.iter().map(|certificate| certificate.to_vec()).collect())
    }

    fn read(&mut self, key: &'static str, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let size = fs::metadata(path).map(|file| file.len());
        match size.and_then(|size| if size > limit { Ok(None) } else { fs::read(path).map(Some) }) {
            Ok(Some(text)) => Some(text),
            Ok(None) => {
                self.wrong(key, format!("{} is larger than {limit} bytes; is it the right file?", path.display()));
                None
            }
            Err(error) => {
                self.wrong(key, format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }
}

/// Whether a URL's host is this one, by name or address.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
