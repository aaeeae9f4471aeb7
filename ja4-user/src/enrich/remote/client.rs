//! One request, with its redirects.

use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Uri;

use super::settings::Settings;
use super::{answer, is_loopback};
use crate::model::{Label, Method};

/// Redirects followed. A service that moves needs one.
const MAX_REDIRECTS: usize = 3;

/// Largest header of an answer, bytes.
const MAX_HEADER: usize = 32 * 1024;

/// What became of a request.
#[derive(Debug)]
pub(super) enum Fetched {
    Hit(Label),
    Miss,
    /// Anything that is no answer; the breaker counts it.
    Failed,
}

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    host: String,
    /// Who is named as the source.
    source: String,
    loopback: bool,
    timeout: Duration,
    max_body: u64,
}

/// Where a response leads.
enum Next {
    Done(Fetched),
    Redirect(Uri),
}

impl Client {
    pub(super) fn new(settings: &Settings, endpoint: Uri) -> Self {
        let host = endpoint.host().unwrap_or_default();
        let loopback = is_loopback(host);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(!loopback)
            // Followed here, where each target is looked at.
            .max_redirects(0)
            .max_response_header_size(MAX_HEADER)
            .user_agent(concat!("ja4sensor/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            // Requests are rare; a connection that the peer closed meanwhile would count as a failure.
            .max_idle_connections(0);
        // What stays on this host needs no proxy; elsewhere the environment may name one.
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

    /// Asks for a value, within the time limit.
    pub(super) fn fetch(&self, method: Method, value: &str) -> Fetched {
        let deadline = Instant::now() + self.timeout;
        let Ok(mut target) = self.url(value).parse::<Uri>() else {
            return Fetched::Failed;
        };
        for _ in 0..=MAX_REDIRECTS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match self.request(&target, left, method, value) {
                Some(Next::Done(fetched)) => return fetched,
                Some(Next::Redirect(next)) if self.permits(&next) => target = next,
                Some(Next::Redirect(_)) | None => break,
            }
        }
        Fetched::Failed
    }

    /// `None`: no answer.
    fn request(&self, target: &Uri, limit: Duration, method: Method, value: &str) -> Option<Next> {
        let request = self.agent.get(target).config().timeout_global(Some(limit)).build();
        let mut response = request.call().ok()?;
        match response.status().as_u16() {
            200 => {
                let body = response.body_mut().with_config().limit(self.max_body).read_to_vec().ok()?;
                let label = answer::label(&body, method, value, &self.source).ok()?;
                Some(Next::Done(label.map_or(Fetched::Miss, Fetched::Hit)))
            }
            204 | 404 => Some(Next::Done(Fetched::Miss)),
            301 | 302 | 303 | 307 | 308 => {
                let location = response.headers().get("location")?.to_str().ok()?;
                resolve(target, location).map(Next::Redirect)
            }
            _ => None,
        }
    }

    /// Whether a redirect is followed: to the endpoint's own host, any port, over https; on loopback http is allowed
    /// too. Values are sent to no other host.
    fn permits(&self, target: &Uri) -> bool {
        let is_same = target.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        is_same && (target.scheme_str() == Some("https") || target.scheme_str() == Some("http") && self.loopback)
    }

    /// The endpoint and the value, in which whatever is not unreserved is percent-encoded (RFC 3986, sections 2.1 and
    /// 2.3).
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

/// Where a redirect leads: to a URL, or to a path of the same host (RFC 9110, section 10.2.2). Other relative forms are
/// not followed.
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

    fn client(endpoint: &str) -> Client {
        let settings = Settings { endpoint: endpoint.to_owned(), ..Settings::default() };
        Client::new(&settings, settings.check().unwrap())
    }

    #[test]
    fn values_cannot_leave_their_place_in_the_url() {
        let client = client("https://db.example/read");
        assert_eq!(client.url("t13d1516h2_8daaf6152771"), "https://db.example/read/t13d1516h2_8daaf6152771");
        assert_eq!(client.url("../a?b#c d\r\né"), "https://db.example/read/..%2Fa%3Fb%23c%20d%0D%0A%C3%A9");
    }

    #[test]
    fn redirects_are_followed_on_the_same_host_only() {
        let permits = |client: &Client, target: &str| client.permits(&target.parse().unwrap());
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
    fn locations_are_urls_or_paths() {
        let from = "https://db.example:8443/read/x?y".parse().unwrap();
        let resolved = |location| resolve(&from, location).map(|target| target.to_string());
        assert_eq!(resolved("/new?z").as_deref(), Some("https://db.example:8443/new?z"));
        assert_eq!(resolved("http://a.example/").as_deref(), Some("http://a.example/"));
        for location in ["//a.example/x", "x", "", "?y"] {
            assert_eq!(resolved(location), None, "{location}");
        }
    }
}
