//! Requests to the database, with their redirects.

use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Uri;

use super::answer;
use super::settings::RemoteSettings;
use crate::model::{Label, Method};
use crate::system::loopback_host::is_loopback_host;
use crate::system::tls::TrustedRoots;

/// Redirects that are followed; a service that moves needs one.
const MAX_REDIRECTS: usize = 3;

/// Largest header of an answer, bytes.
const MAX_HEADER: usize = 32 * 1024;

/// The result of a request.
#[derive(Debug)]
pub(super) enum FetchOutcome {
    Hit(Label),
    Miss,
    /// No valid answer; the circuit breaker counts it.
    Failed,
}

pub(super) struct RemoteClient {
    agent: Agent,
    endpoint: String,
    host: String,
    /// The source in labels.
    source: String,
    loopback: bool,
    timeout: Duration,
    max_body: u64,
}

/// The content of an HTTP response.
enum HttpOutcome {
    Done(FetchOutcome),
    Redirect(Uri),
}

impl RemoteClient {
    pub(super) fn new(settings: &RemoteSettings, endpoint: Uri, roots: &TrustedRoots) -> Self {
        let host = endpoint.host().unwrap_or_default();
        let loopback = is_loopback_host(host);
        let config = Agent::config_builder()
            .tls_config(roots.http_client())
            .http_status_as_error(false)
            .https_only(!loopback)
            // Followed here, after a check of each target.
            .max_redirects(0)
            .max_response_header_size(MAX_HEADER)
            .user_agent(concat!("ja4sensor/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            // Requests are rare; an idle connection that the peer has closed would count as a failure.
            .max_idle_connections(0);
        // Requests to this host use no proxy; for others the environment may name one.
        let config = if loopback { config.proxy(None) } else { config };
        let source = if host.eq_ignore_ascii_case("ja4db.com") { "ja4db".to_owned() } else { host.to_owned() };
        Self {
            agent: config.build().new_agent(),
            endpoint: settings.endpoint.clone(),
            host: host.to_owned(),
            source,
            loopback,
            timeout: settings.timeout.0,
            max_body: settings.max_body.0,
        }
    }

    /// Looks a value up within the time limit.
    pub(super) fn fetch(&self, method: Method, value: &str) -> FetchOutcome {
        let deadline = Instant::now() + self.timeout;
        let Ok(mut target) = self.url(value).parse::<Uri>() else {
            return FetchOutcome::Failed;
        };
        for _ in 0..=MAX_REDIRECTS {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break;
            }
            match self.request(&target, remaining, method, value) {
                Some(HttpOutcome::Done(fetched)) => return fetched,
                Some(HttpOutcome::Redirect(next)) if self.permits(&next) => target = next,
                Some(HttpOutcome::Redirect(_)) | None => break,
            }
        }
        FetchOutcome::Failed
    }

    /// Sends one request; `None`: no valid answer.
    fn request(&self, target: &Uri, limit: Duration, method: Method, value: &str) -> Option<HttpOutcome> {
        let request = self.agent.get(target).config().timeout_global(Some(limit)).build();
        let mut response = request.call().ok()?;
        match response.status().as_u16() {
            200 => {
                let body = response.body_mut().with_config().limit(self.max_body).read_to_vec().ok()?;
                let label = answer::label(&body, method, value, &self.source).ok()?;
                Some(HttpOutcome::Done(label.map_or(FetchOutcome::Miss, FetchOutcome::Hit)))
            }
            204 | 404 => Some(HttpOutcome::Done(FetchOutcome::Miss)),
            301 | 302 | 303 | 307 | 308 => {
                let location = response.headers().get("location")?.to_str().ok()?;
                resolve(target, location).map(HttpOutcome::Redirect)
            }
            _ => None,
        }
    }

    /// Whether a redirect is followed: to the endpoint's host on any port, over https, or http on loopback. Values are sent to
    /// no other host.
    fn permits(&self, target: &Uri) -> bool {
        let is_same = target.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        is_same && (target.scheme_str() == Some("https") || target.scheme_str() == Some("http") && self.loopback)
    }

    /// Returns the endpoint with the percent-encoded value (RFC 3986, sections 2.1 and 2.3).
    fn url(&self, value: &str) -> String {
        let mut url = self.endpoint.clone();
        if !url.ends_with('/') {
            url.push('/');
        }
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                url.push(char::from(byte));
            } else {
                url.push('%');
                url.extend(
                    [byte >> 4, byte & 0xf]
                        .map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or_default().to_ascii_uppercase()),
                );
            }
        }
        url
    }
}

/// Returns the target of a redirect: a URL, or a path on the same host (RFC 9110, section 10.2.2). Other relative
/// references are not followed.
fn resolve(from: &Uri, location: &str) -> Option<Uri> {
    let target: Uri = location.parse().ok()?;
    if target.scheme().is_some() {
        return Some(target);
    }
    if !location.starts_with('/') || location.starts_with("//") {
        return None;
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> RemoteClient {
        let settings = RemoteSettings { endpoint: endpoint.to_owned(), ..RemoteSettings::default() };
        RemoteClient::new(&settings, settings.check().unwrap(), &TrustedRoots::default())
    }

    #[test]
    fn values_are_percent_encoded() {
        let client = client("https://db.example/read");
        assert_eq!(client.url("t13d1516h2_8daaf6152771"), "https://db.example/read/t13d1516h2_8daaf6152771");
        assert_eq!(client.url("../a?b#c d\r\né"), "https://db.example/read/..%2Fa%3Fb%23c%20d%0D%0A%C3%A9");
    }

    #[test]
    fn redirects_are_followed_on_the_same_host_only() {
        let permits = |client: &RemoteClient, target: &str| client.permits(&target.parse().unwrap());
        let public = client("https://db.example/read");
        for target in ["https://db.example/new", "https://DB.example:8443/"] {
            assert!(permits(&public, target), "{target}");
        }
        for target in [
            "https://other.example/",
            "https://www.db.example/",
            "http://db.example/",
            "http://127.0.0.1/",
            "https://127.0.0.1/",
            "https://localhost/",
            "ftp://db.example/",
        ] {
            assert!(!permits(&public, target), "{target}");
        }
        let local = client("http://127.0.0.1/");
        assert!(permits(&local, "http://127.0.0.1:8080/") && permits(&local, "https://127.0.0.1/"));
        for target in ["http://[::1]:8080/", "http://localhost/", "https://db.example/", "http://db.example/"] {
            assert!(!permits(&local, target), "{target}");
        }
    }

    #[test]
    fn redirect_targets_are_urls_or_paths() {
        let from = "https://db.example:8443/read/x?y".parse().unwrap();
        let resolved = |location| resolve(&from, location).map(|target| target.to_string());
        assert_eq!(resolved("/new?z").as_deref(), Some("https://db.example:8443/new?z"));
        assert_eq!(resolved("http://a.example/").as_deref(), Some("http://a.example/"));
        for location in ["//a.example/x", "x", "", "?y"] {
            assert_eq!(resolved(location), None, "{location}");
        }
    }
}
