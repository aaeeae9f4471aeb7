//! Webhook transport.

use std::io::Read as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use sha2::Sha256;
use ureq::http::{Method, Request, Response, Uri};
use ureq::{Agent, Body};

use super::super::config::{HttpMethod, WebhookTarget};
use super::error::DeliveryError;

/// Bytes of a response that are read, so that the connection can be reused. A longer response closes it.
const MAX_RESPONSE: u64 = 16 << 10;
/// Longest response head, bytes.
const MAX_HEAD: usize = 16 << 10;
/// Header of the signature.
const SIGNATURE: &str = "X-Signature-256";

/// Sends alerts to one URL.
#[derive(Debug)]
pub(in super::super) struct WebhookClient {
    target: WebhookTarget,
    agent: Agent,
    uri: Uri,
}

impl WebhookClient {
    /// # Errors
    /// If the URL is invalid.
    pub(in super::super) fn new(target: WebhookTarget, limit: Duration) -> Result<Self, String> {
        let uri = target.url.reveal().parse().map_err(|_| "invalid URL".to_owned())?;
        let mut config = Agent::config_builder()
            .tls_config(target.roots.http_client())
            .timeout_global(Some(limit))
            // A redirect could lead to http or to an internal host.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(MAX_HEAD)
            .max_idle_connections(1)
            .user_agent(concat!("ja4sensor/", env!("CARGO_PKG_VERSION")));
        if target.loopback {
            config = config.proxy(None);
        }
        Ok(Self { target, agent: config.build().new_agent(), uri })
    }

    pub(super) fn deliver(&mut self, body: &[u8]) -> Result<(), DeliveryError> {
        let method = match self.target.method {
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
        };
        let mut request =
            Request::builder().method(method).uri(self.uri.clone()).header("Content-Type", "application/json");
        for (name, value) in &self.target.headers {
            request = request.header(name, value.reveal());
        }
        if let Some(key) = &self.target.hmac_key {
            request = request.header(SIGNATURE, signature(key.reveal(), body));
        }
        let request = request.body(body).map_err(|_| DeliveryError::permanent("invalid header"))?;
        let response = self.agent.run(request).map_err(|error| self.error(&error))?;
        self.check_response(response)
    }

    fn check_response(&self, mut response: Response<Body>) -> Result<(), DeliveryError> {
        let status = response.status();
        let after = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
        let rest = &mut response.body_mut().as_reader().take(MAX_RESPONSE);
        // The status decides; a truncated body only closes the connection.
        let _read = std::io::copy(rest, &mut std::io::sink());
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("{}: HTTP status {}", self.target.host, status.as_u16());
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(DeliveryError { reason, retry: true, after });
        }
        Err(DeliveryError::permanent(reason))
    }

    fn error(&self, error: &ureq::Error) -> DeliveryError {
        let host = &self.target.host;
        // Errors with a text that could contain the URL get their own text.
        match error {
            ureq::Error::Io(error) => DeliveryError::io(host, error),
            ureq::Error::Timeout(_) => DeliveryError::temporary(format!("{host}: timed out")),
            ureq::Error::HostNotFound => DeliveryError::temporary(format!("{host}: no such host")),
            ureq::Error::ConnectionFailed => DeliveryError::temporary(format!("{host}: cannot connect")),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
                DeliveryError::temporary(format!("{host}: invalid HTTP response"))
            }
            ureq::Error::Rustls(error) => DeliveryError::temporary(format!("{host}: {error}")),
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
                DeliveryError::permanent(format!("{host}: invalid request"))
            }
            _ => DeliveryError::temporary(format!("{host}: request failed")),
        }
    }
}

/// `sha256=` and the HMAC-SHA256 of the body in hex.
fn signature(key: &str, body: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = "sha256=".to_owned();
    // HMAC accepts keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// Parses Retry-After (RFC 9110, section 10.2.3): seconds or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim()).ok()?;
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 "), Some(Duration::ZERO));
        let hour = retry_after("Fri, 31 Dec 2199 23:59:59 GMT");
        assert!(hour.is_some_and(|hour| hour > Duration::from_secs(3600)), "{hour:?}");
        for nothing in ["Sun, 06 Nov 1994 08:49:37 GMT", "-1", "soon", ""] {
            assert_eq!(retry_after(nothing), None, "{nothing}");
        }
    }
}
