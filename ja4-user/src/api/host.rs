//! The host names that the server accepts, a protection against DNS rebinding.
//!
//! A page in a browser may read the responses of its own host, and the owner of a domain can make its name resolve to this
//! host. So a request that names a host must name an address, `localhost`, or a configured name; only pages of this host
//! have one of these as their origin.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State as Of};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::Response;

use super::response;

/// Accepted host names in addition to addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names.iter().map(|name| without_final_dot(name).to_owned()).collect())
    }

    /// Whether a `Host` header, or the authority of a request, names this sensor.
    fn has(&self, host: &str) -> bool {
        if host.parse::<IpAddr>().is_ok() {
            return true;
        }
        if let Some(rest) = host.strip_prefix('[') {
            let (address, port) = rest.split_once(']').unwrap_or_default();
            return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
        }
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let name = without_final_dot(name);
        let known = |known: &str| known.eq_ignore_ascii_case(name);
        name.parse::<IpAddr>().is_ok() || known("localhost") || self.0.iter().any(|name| known(name))
    }
}

/// Removes the final dot of a fully qualified name.
fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Rejects requests for another host. A request without a host name does not come from a browser.
pub(super) async fn check(Of(hosts): Of<AllowedHosts>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let named = request.headers().get_all(HOST).iter().map(|host| host.as_bytes()).chain(authority);
    let unknown = named.map(String::from_utf8_lossy).find(|host| !hosts.has(host));
    match unknown.map(|host| response::printable(&host)) {
        None => next.run(request).await,
        Some(host) => {
            let text = format!(
                "unknown host '{host}'; use the address of the sensor or localhost, or add the name to http.hosts"
            );
            response::error(StatusCode::MISDIRECTED_REQUEST, &text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_configured_names_are_accepted() {
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
        for unknown in [
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
            assert!(!hosts.has(unknown), "{unknown}");
        }
    }
}
