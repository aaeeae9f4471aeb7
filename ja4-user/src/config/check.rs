//! Checks of a configuration: ranges, and what needs more than one key.

use ja4_common::tunnel::TunnelPorts;

use super::sections::Config;
use crate::api::ListenAddress;
use crate::capture::TunnelSettings;
use crate::document::{Diagnostic, KeyPositions, SettingType as _, shown};
use crate::output::files::EventFileType;

/// Longest path of a Unix socket, bytes (unix(7): `sun_path` without its terminating null byte).
const MAX_SOCKET_PATH: usize = 107;

/// Most event files: each has a thread.
const MAX_EVENT_FILES: usize = 16;

/// Returns all errors.
pub(super) fn errors(config: &Config, positions: &KeyPositions) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let mut report = |key: String, message: String| {
        errors.push(positions.diagnostic(&key, format!("{key}: {message}")));
    };
    config.check_ranges("", &mut report);
    let http = &config.http;
    let sockets = [("attach.socket", &config.attach.socket), ("http.socket", &http.socket)];
    for (key, path) in
        [("storage.path", &config.storage.path), ("http.token_file", &http.token_file)].iter().chain(&sockets)
    {
        if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            report((*key).to_owned(), "is empty; name a file, or remove the key".to_owned());
        }
    }
    for (key, path) in sockets {
        if let Some(length) =
            path.as_ref().map(|path| path.as_os_str().len()).filter(|length| *length > MAX_SOCKET_PATH)
        {
            let message = format!("has {length} bytes; the path of a socket has at most {MAX_SOCKET_PATH}");
            report(key.to_owned(), message);
        }
    }
    check_event_files(config, &mut report);
    let TunnelSettings { vxlan_ports, geneve_ports } = &config.tunnels;
    for (key, ports) in [("tunnels.vxlan_ports", vxlan_ports), ("tunnels.geneve_ports", geneve_ports)] {
        if ports.len() > TunnelPorts::MAX {
            report(key.to_owned(), format!("has {} ports; name at most {}", ports.len(), TunnelPorts::MAX));
        }
        for (number, port) in (1..).zip(ports) {
            if TunnelPorts::NONE.may_be_tunnel(0, port.get()) || (key.contains("geneve") && vxlan_ports.contains(port))
            {
                report(format!("{key} {number}"), format!("port {port} is that of a tunnel already; name another one"));
            }
        }
    }
    if let Err(message) = config.lookup.remote.endpoint() {
        report("lookup.remote.endpoint".to_owned(), message);
    }
    for (number, host) in (1..).zip(&config.http.hosts) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if host.is_empty() || !host.bytes().all(is_plain) {
            let message = format!("'{}' is not a host name; write it without a port, as sensor.example", shown(host));
            report(format!("http.hosts {number}"), message);
        }
    }
    errors
}

/// Checks each `[[output.files]]`.
fn check_event_files(config: &Config, report: &mut impl FnMut(String, String)) {
    let files = &config.output.files;
    if files.len() > MAX_EVENT_FILES {
        report("output.files".to_owned(), format!("has {} files; name at most {MAX_EVENT_FILES}", files.len()));
    }
    for (place, file) in files.iter().enumerate() {
        let key = format!("output.files {}", place + 1);
        let Some(path) = file.path().filter(|path| !path.as_os_str().is_empty()) else {
            report(key, "has no path; set `path` to a file or a Unix socket".to_owned());
            continue;
        };
        if file.filetype != EventFileType::Regular && path.as_os_str().len() > MAX_SOCKET_PATH {
            let length = path.as_os_str().len();
            let message = format!("the path has {length} bytes; that of a socket has at most {MAX_SOCKET_PATH}");
            report(key.clone(), message);
        }
        if files.iter().take(place).any(|other| other.path().as_ref() == Some(&path)) {
            report(key, format!("{} is written to by another one already; name another path", path.display()));
        }
    }
}

/// Returns all warnings.
pub(super) fn warnings(config: &Config, positions: &KeyPositions) -> Vec<Diagnostic> {
    match config.http.listen {
        ListenAddress::Configured(address) if !address.ip().is_loopback() => {
            let message = format!(
                "http.listen: {address} is not a loopback address: every client that reaches it can read metrics and \
                 health, and see the token of the API on its way; use 127.0.0.1 behind a proxy with TLS"
            );
            vec![positions.diagnostic("http.listen", message)]
        }
        _ => Vec::new(),
    }
}
