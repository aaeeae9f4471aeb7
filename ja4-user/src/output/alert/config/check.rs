//! From the settings of sinks to sinks that can be started.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::secret::Secret;
use super::settings::{
    CefSettings, CommonSinkSettings, DEFAULT_FACILITY, SinkSettings, SyslogMessage, SyslogTransport, WebhookSettings,
};
use super::sink::{FileTarget, Sink, SinkError, SinkTarget, SyslogTarget, WebhookTarget};
use crate::document::{one_of, shown};
use crate::output::alert::format::{SyslogContent, SyslogHeader};
use crate::output::alert::rate_limit::AlertRate;
use crate::output::alert::retry::RetryPolicy;
use crate::system::loopback_host::is_loopback_host;
use crate::system::tls::TrustedRoots;

/// Sinks: each has a thread.
const MAX_SINKS: usize = 32;
/// Longest file of a key, bytes; a key is one line.
const MAX_KEY_FILE: u64 = 4096;

/// Socket of the native protocol of journald.
const JOURNALD_SOCKET: &str = "/run/systemd/journal/socket";

/// Headers that the sink sets, or that frame the message.
const OWN_HEADERS: [&str; 6] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "x-signature-256"];

/// Names of facilities by number (RFC 5424, section 6.2.1); those of 12 to 15 are not standardised.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Checks all sinks of a configuration, and reads the files that they name.
///
/// # Errors
///
/// All errors of all sinks.
pub fn check_sinks(sinks: &[SinkSettings]) -> Result<Vec<Sink>, Vec<SinkError>> {
    let (mut errors, mut names, mut valid) = (Vec::new(), HashSet::new(), Vec::new());
    for (number, settings) in (1..).zip(sinks) {
        let common = settings.common();
        let mut check = SinkCheck { number, name: common.name.clone(), errors: Vec::new() };
        if number > MAX_SINKS {
            check.wrong("type", format!("{} sinks are too many; at most {MAX_SINKS} are supported", sinks.len()));
        }
        let name = check.name(settings, &mut names);
        valid.extend(check.sink(settings, common, name));
        errors.append(&mut check.errors);
    }
    if errors.is_empty() { Ok(valid) } else { Err(errors) }
}

struct SinkCheck {
    number: usize,
    name: Option<String>,
    errors: Vec<SinkError>,
}

/// Where syslog messages are sent.
struct SyslogReceiver<'s> {
    address: &'s Option<String>,
    transport: SyslogTransport,
    facility: &'s str,
    enterprise: u32,
    server_name: &'s Option<String>,
    ca: &'s Option<PathBuf>,
}

impl SinkCheck {
    fn wrong(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        let (number, name) = (self.number, self.name.clone());
        self.errors.push(SinkError { number, name, key: key.into(), reason: reason.into() });
    }

    /// Returns the name of a sink, or an unused one.
    fn name(&mut self, settings: &SinkSettings, names: &mut HashSet<String>) -> String {
        let type_name = settings.type_name();
        let name = match &self.name {
            Some(name) => name.clone(),
            None if names.contains(type_name) => format!("{type_name}-{}", self.number),
            None => type_name.to_owned(),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            self.wrong("name", "expected 1 to 64 letters, digits, '-', '_' or '.'");
        }
        if !names.insert(name.clone()) {
            self.wrong("name", "another sink has this name; statistics need different names");
        }
        name
    }

    fn sink(&mut self, settings: &SinkSettings, common: CommonSinkSettings, name: String) -> Option<Sink> {
        settings.section().report_ranges(&mut |key, message| self.wrong(key, message));
        let CommonSinkSettings { retry_initial: initial, retry_max_delay: max_delay, retry_deadline: deadline, .. } =
            common;
        if initial > max_delay {
            self.wrong("retry_initial", "is longer than retry_max_delay");
        }
        let target = match settings {
            SinkSettings::Webhook(webhook) => self.webhook(webhook).map(SinkTarget::Webhook),
            SinkSettings::Syslog(syslog) => {
                let content = match syslog.message {
                    SyslogMessage::Text => SyslogContent::Text,
                    SyslogMessage::Cef => SyslogContent::Cef,
                };
                let receiver = SyslogReceiver {
                    address: &syslog.address,
                    transport: syslog.transport,
                    facility: &syslog.facility,
                    enterprise: syslog.enterprise,
                    server_name: &syslog.server_name,
                    ca: &syslog.tls.ca,
                };
                self.syslog(&receiver, content)
            }
            SinkSettings::Cef(cef) => self.cef(cef),
            SinkSettings::File(file) => self.file(file.path.as_ref(), false),
            SinkSettings::Journald(journald) => Some(self.journald(journald.socket.as_deref())),
        }?;
        let CommonSinkSettings { min_severity, raw, queue, rate, burst, timeout, retries, .. } = common;
        Some(Sink {
            name,
            min_severity,
            raw,
            queue: queue as usize,
            rate: (rate > 0).then_some(AlertRate { per_second: rate, burst }),
            retry: RetryPolicy { retries, initial: initial.0, max_delay: max_delay.0, deadline: deadline.0 },
            timeout: timeout.0,
            target,
        })
    }

    fn cef(&mut self, cef: &CefSettings) -> Option<SinkTarget> {
        let CefSettings { address, transport, facility, server_name, tls, path, .. } = cef;
        if path.is_none() {
            let receiver = SyslogReceiver {
                address,
                transport: transport.unwrap_or_default(),
                facility: facility.as_deref().unwrap_or(DEFAULT_FACILITY),
                // CEF without structured data has no enterprise number.
                enterprise: 0,
                server_name,
                ca: &tls.ca,
            };
            return self.syslog(&receiver, SyslogContent::BareCef);
        }
        if address.is_some() {
            self.wrong("path", "excludes address; remove one of them");
        }
        for (key, is_set) in [
            ("transport", transport.is_some()),
            ("facility", facility.is_some()),
            ("server_name", server_name.is_some()),
            ("tls.ca", tls.ca.is_some()),
        ] {
            if is_set {
                self.wrong(key, "needs an address, not a path");
            }
        }
        self.file(path.as_ref(), true)
    }

    fn webhook(&mut self, webhook: &WebhookSettings) -> Option<WebhookTarget> {
        let host = self.url(webhook);
        for (name, value) in &webhook.headers {
            let shown = name.escape_debug();
            if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.wrong("headers", format!("'{shown}' is set by the sink; remove it"));
            } else if HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.wrong("headers", format!("'{shown}' is not a header name"));
            } else if HeaderValue::from_str(value.reveal()).is_err() {
                self.wrong("headers", format!("the value of '{shown}' contains invalid characters"));
            }
        }
        let hmac_key = self.hmac_key(webhook);
        let (url, host) = (webhook.url.clone()?, host);
        let is_http = url.reveal().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        let roots = match &webhook.tls.ca {
            None if is_http => TrustedRoots::default(),
            ca => self.roots(ca.as_deref()),
        };
        let (host, loopback) = host?;
        Some(WebhookTarget {
            url,
            host,
            loopback,
            method: webhook.method,
            format: webhook.format,
            headers: webhook.headers.clone(),
            hmac_key,
            roots,
        })
    }

    /// Returns the host of the URL, and whether it is this host.
    fn url(&mut self, webhook: &WebhookSettings) -> Option<(String, bool)> {
        let Some(url) = &webhook.url else {
            self.wrong("url", "is missing; write it as \"https://host/path\"");
            return None;
        };
        let parsed: Option<Uri> = url.reveal().parse().ok();
        let host = parsed.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
        let (Some(scheme), Some(host)) = (parsed.as_ref().and_then(Uri::scheme_str), host) else {
            self.wrong("url", "is not a URL; write it as \"https://host/path\"");
            return None;
        };
        let loopback = is_loopback_host(host);
        match scheme {
            "https" => {}
            "http" if loopback || webhook.allow_http => {}
            "http" => {
                self.wrong("url", "is http to another host, which is not encrypted; use https, or set allow_http")
            }
            _ => self.wrong("url", "expected https, or http to this host"),
        }
        if parsed.as_ref().and_then(Uri::authority).is_some_and(|authority| authority.as_str().contains('@')) {
            self.wrong("url", "contains a user; set the header Authorization instead");
        }
        Some((host.to_owned(), loopback))
    }

    fn hmac_key(&mut self, webhook: &WebhookSettings) -> Option<Secret> {
        let key = match (&webhook.hmac_key, &webhook.hmac_key_file) {
            (Some(_), Some(_)) => {
                self.wrong("hmac_key", "excludes hmac_key_file; remove one of them");
                return None;
            }
            (Some(key), None) => key.clone(),
            (None, Some(path)) => {
                let text = self.read("hmac_key_file", path, MAX_KEY_FILE)?;
                let Ok(text) = String::from_utf8(text) else {
                    self.wrong("hmac_key_file", "is not UTF-8 text; a key is one line of text");
                    return None;
                };
                Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, None) => return None,
        };
        if key.reveal().is_empty() {
            self.wrong("hmac_key", "is empty; set a key");
        }
        Some(key)
    }

    fn syslog(&mut self, receiver: &SyslogReceiver<'_>, content: SyslogContent) -> Option<SinkTarget> {
        let SyslogReceiver { address, transport, facility, enterprise, server_name, ca } = *receiver;
        if transport != SyslogTransport::Tls {
            for (key, is_set) in [("server_name", server_name.is_some()), ("tls.ca", ca.is_some())] {
                if is_set {
                    self.wrong(key, "needs transport tls");
                }
            }
        }
        let number = (0..).zip(FACILITIES).find_map(|(number, name)| (name == facility).then_some(number));
        if number.is_none() {
            let facility = shown(facility);
            self.wrong("facility", format!("unknown value '{facility}': expected {}", one_of(&FACILITIES)));
        }
        let Some(address) = address else {
            let or = if content == SyslogContent::BareCef { ", or set path" } else { "" };
            self.wrong("address", format!("is missing; write it as \"host:514\"{or}"));
            return None;
        };
        let host = address.rsplit_once(':').filter(|(host, port)| {
            let bare_v6 = host.contains(':') && !host.starts_with('[');
            !host.is_empty() && !bare_v6 && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        let Some((host, _)) = host else {
            self.wrong("address", "expected a host and a port, such as \"host:514\" or \"[::1]:514\"");
            return None;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server_name = server_name.clone().unwrap_or_else(|| host.to_owned());
        if transport == SyslogTransport::Tls && ServerName::try_from(server_name.as_str()).is_err() {
            self.wrong("server_name", format!("'{}' is not a name that a certificate can have", shown(&server_name)));
        }
        let roots = if transport == SyslogTransport::Tls { self.roots(ca.as_deref()) } else { TrustedRoots::default() };
        Some(SinkTarget::Syslog(SyslogTarget {
            address: address.clone(),
            transport,
            header: SyslogHeader { facility: number?, enterprise },
            content,
            server_name,
            roots,
        }))
    }

    fn file(&mut self, path: Option<&PathBuf>, cef: bool) -> Option<SinkTarget> {
        let Some(path) = path else {
            self.wrong("path", "is missing; name the file that lines are appended to");
            return None;
        };
        if !path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir()) || path.is_dir() {
            self.wrong("path", format!("{} is not a file in an existing directory", path.display()));
        }
        Some(SinkTarget::File(FileTarget { path: path.clone(), cef }))
    }

    fn journald(&mut self, socket: Option<&Path>) -> SinkTarget {
        let path = socket.unwrap_or(Path::new(JOURNALD_SOCKET));
        // The socket may be created later: journald may start after the sensor.
        if fs::metadata(path).is_ok_and(|file| !file.file_type().is_socket()) {
            self.wrong("socket", format!("{} is not a socket; the default is {JOURNALD_SOCKET}", path.display()));
        }
        SinkTarget::Journald(path.to_owned())
    }

    fn roots(&mut self, ca: Option<&Path>) -> TrustedRoots {
        TrustedRoots::load(ca).unwrap_or_else(|error| {
            self.wrong("tls.ca", error.to_string());
            TrustedRoots::default()
        })
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
