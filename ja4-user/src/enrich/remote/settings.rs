//! Settings of the remote lookup.

use std::io;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use ureq::http::Uri;

use super::is_loopback;
use crate::model::Method;
use crate::model::method_set::Methods;
use crate::units::{Size, Span};

/// Section `[lookup.remote]`. Off unless `enabled`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether values are asked for. Each of them goes to the endpoint's operator.
    pub enabled: bool,
    /// What stands before the value in the URL.
    pub endpoint: String,
    /// Methods whose values are asked for: those that ja4db lists.
    pub methods: Methods,
    /// For a whole request, redirects and body included.
    pub timeout: Span,
    /// Answers kept, some 300 bytes each.
    pub cache: usize,
    /// How long a label is kept.
    pub hit_age: Span,
    /// How long it is kept that a value is not known.
    pub miss_age: Span,
    /// Values that wait to be asked for.
    pub queue: usize,
    /// Largest answer, bytes.
    pub max_body: Size,
    /// Failures in a row that open the breaker.
    pub failures: u32,
    /// How long it stays open before one request tries again; a value that could not be asked for rests as long.
    pub pause: Span,
}

impl Default for Settings {
    fn default() -> Self {
        use Method::{Ja4, Ja4h, Ja4s, Ja4t, Ja4ts, Ja4x};
        Self {
            enabled: false,
            endpoint: "https://ja4db.com/api/read/".to_owned(),
            methods: Methods::of(&[Ja4, Ja4s, Ja4h, Ja4x, Ja4t, Ja4ts]),
            timeout: Span::seconds(3),
            cache: 10_000,
            hit_age: Span::seconds(24 * 3600),
            miss_age: Span::seconds(3600),
            queue: 1000,
            max_body: Size(1 << 20),
            failures: 5,
            pause: Span::seconds(60),
        }
    }
}

/// Why the lookup cannot start.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The endpoint is no URL.
    #[error("lookup.remote.endpoint '{0}' is no URL; write it as https://ja4db.com/api/read/")]
    Url(String),
    /// The endpoint is neither https nor on this host.
    #[error("lookup.remote.endpoint '{0}' is not https; http is for 127.0.0.1, ::1 and localhost only")]
    Cleartext(String),
    /// A number is 0.
    #[error("lookup.remote.{0} is 0; it must be at least 1")]
    Zero(&'static str),
    /// The thread could not be started.
    #[error("cannot start the thread of the remote lookup: {0}")]
    Thread(#[source] io::Error),
}

impl Settings {
    /// The endpoint, if all settings are in order.
    ///
    /// # Errors
    /// The first thing that is not in order.
    pub fn check(&self) -> Result<Uri, SettingsError> {
        match self.faults().into_iter().next() {
            Some(fault) => Err(fault),
            None => self.endpoint(),
        }
    }

    /// Everything that is not in order.
    #[must_use]
    pub fn faults(&self) -> Vec<SettingsError> {
        let numbers = [
            ("timeout", self.timeout == Span::default()),
            ("cache", self.cache == 0),
            ("queue", self.queue == 0),
            ("max_body", self.max_body == Size(0)),
            ("failures", self.failures == 0),
        ];
        let zeros = numbers.into_iter().filter(|(_, zero)| *zero).map(|(name, _)| SettingsError::Zero(name));
        self.endpoint().err().into_iter().chain(zeros).collect()
    }

    fn endpoint(&self) -> Result<Uri, SettingsError> {
        let wrong = || SettingsError::Url(self.endpoint.clone());
        let endpoint: Uri = self.endpoint.parse().map_err(|_| wrong())?;
        let host = endpoint.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if endpoint.query().is_some() {
            return Err(wrong());
        }
        match endpoint.scheme_str() {
            Some("https") => Ok(endpoint),
            Some("http") if is_loopback(host) => Ok(endpoint),
            Some("http") => Err(SettingsError::Cleartext(self.endpoint.clone())),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str) -> Result<Uri, String> {
        let settings = Settings { endpoint: endpoint.to_owned(), ..Settings::default() };
        settings.check().map_err(|error| error.to_string())
    }

    #[test]
    fn cleartext_stays_on_this_host() {
        assert!(!Settings::default().enabled && Settings::default().check().is_ok());
        for good in ["https://db.example/x", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/read"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["http://ja4db.com/api/read/", "http://127.0.0.1.example/", "http://localhost.example/", "http://10.0.0.1/"]
        {
            assert!(check(bad).unwrap_err().contains("is not https"), "{bad}");
        }
        for bad in ["", "ja4db.com", "/read", "ftp://127.0.0.1/", "https://", "https://a.example/?q="] {
            assert!(check(bad).unwrap_err().contains("is no URL"), "{bad}");
        }
    }

    #[test]
    fn a_section_changes_what_it_names_and_nothing_else() {
        let settings: Settings = toml::from_str("enabled = true\nmiss_age = \"10m\"\nmethods = [\"ja4\"]").unwrap();
        let expected = Settings {
            enabled: true,
            miss_age: Span::seconds(600),
            methods: Methods::of(&[Method::Ja4]),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        assert!(toml::from_str::<Settings>("endpoints = \"x\"").is_err());
        let none = Settings { queue: 0, failures: 0, endpoint: "x".to_owned(), ..Settings::default() };
        let told: Vec<_> = none.faults().iter().map(|fault| fault.to_string()).collect();
        let zero = |name: &str| format!("lookup.remote.{name} is 0; it must be at least 1");
        let url = "lookup.remote.endpoint 'x' is no URL; write it as https://ja4db.com/api/read/".to_owned();
        assert_eq!(told, [url, zero("queue"), zero("failures")]);
    }
}
