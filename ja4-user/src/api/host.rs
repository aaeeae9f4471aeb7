//! By which names the server may be asked.
//!
//! A page in a browser may read what its own host answers, and who owns a name can let it lead to this host (DNS
//! rebinding). So a request that names a host has to name an address, `localhost`, or a name that was configured: no
//! page has these but those of this host.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State as Of};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::Response;

use super::response;

/// Names that may be asked for beside addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names.iter().map(|name| bare(name).to_owned()).collect())
    }

    /// Whether a `Host` header, or what stands before the path of a request, is of this sensor.
    fn has(&self, host: &str) -> bool {
        if host.parse::<IpAddr>().is_ok() {
            return true;
        }
        if let Some(rest) = host.strip_prefix('[') {
            let (address, port) = rest.split_once(']').unwrap_or_default();
            return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
        }
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let name = bare(name);
        let known = |known: &str| known.eq_ignore_ascii_case(name);
        name.parse::<IpAddr>().is_ok() || known("localhost") || self.0.iter().any(|name| known(name))
    }
}

/// A name without the dot that says that it is whole.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Refuses what asks for a host that this is not. A request that names none comes from no browser.
pub(super) async fn check(Of(hosts): Of<AllowedHosts>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let named = request.headers().get_all(HOST).iter().map(|host| host.as_bytes()).chain(authority);
    let strange = named.map(String::from_utf8_lossy).find(|host| !hosts.has(host));
    match strange.map(|host| response::words(&host)) {
        None => next.run(request).await,
        Some(host) => {
            let text = format!(
                "'{host}' is no name of this sensor; ask for its address or localhost, or add the name to http.hosts"
            );
            response::error(StatusCode::MISDIRECTED_REQUEST, &text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_configured_names_are_the_sensor_s() {
        let hosts = AllowedHosts::new(vec!["Sensor.example".to_owned()]);
        for own in [
            "127.0.0.1",
            "127.0.0.1:9418",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:9418",
            "::1",
            "localhost",
            "LocalHost:9418",
            "localhost.",
            "sensor.example",
            "sensor.example:9418",
            "SENSOR.EXAMPLE.:1",
        ] {
            assert!(hosts.has(own), "{own}");
        }
        for strange in [
            "",
            ":9418",
            "evil.example",
            "evil.example:9418",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "sensor.example.evil",
            "xsensor.example",
            "[::1].evil",
            "[evil]",
            "[::1",
            "1270.0.0.1",
            "localhost..",
        ] {
            assert!(!hosts.has(strange), "{strange}");
        }
    }
}
