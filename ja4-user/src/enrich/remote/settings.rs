//! Settings of the remote lookup.

use std::io;

use thiserror::Error;
use ureq::http::Uri;

use crate::document::{SettingType as _, settings};
use crate::model::Method;
use crate::model::method_set::Methods;
use crate::system::loopback_host::is_loopback_host;
use crate::system::tls::{TlsSettings, TrustedRoots, TrustedRootsError};
use crate::units::{ByteSize, HumanDuration};

/// Shortest timeout.
const MIN_TIME: HumanDuration = HumanDuration::milliseconds(1);

settings! {
    /// Section `[lookup.remote]`: labels from a database on the network.
    #[derive(Eq)]
    pub struct RemoteSettings {
        /// Whether values without a label are looked up. Each of them is sent to the operator of the endpoint.
        pub enabled: bool = false;
        /// URL of the database; the value is appended. https, or http to this host.
        pub endpoint: String = "https://ja4db.com/api/read/".to_owned();
        /// Certificates that are trusted.
        pub tls: TlsSettings = TlsSettings::default();
        /// Methods to look up: those that ja4db lists.
        pub methods: Methods = {
            use Method::{Ja4, Ja4h, Ja4s, Ja4t, Ja4ts, Ja4x};
            Methods::of(&[Ja4, Ja4s, Ja4h, Ja4x, Ja4t, Ja4ts])
        };
        /// Time limit of a request, redirects and body included.
        pub timeout: HumanDuration = HumanDuration::seconds(3), in MIN_TIME..;
        /// Cached answers, some 300 bytes each.
        pub cache: usize = 10_000, in 1..;
        /// How long a label is cached.
        pub hit_age: HumanDuration = HumanDuration::seconds(24 * 3600);
        /// How long it is cached that a value has no label.
        pub miss_age: HumanDuration = HumanDuration::seconds(3600);
        /// Values that wait for a request.
        pub queue: usize = 1000, in 1..;
        /// Largest answer.
        pub max_body: ByteSize = ByteSize(1 << 20), in ByteSize(1)..;
        /// Consecutive failures that open the circuit breaker.
        pub breaker_failures: u32 = 5, in 1..;
        /// How long the circuit breaker stays open before one request probes the endpoint. After a failed lookup, the
        /// value is not looked up again for as long.
        pub breaker_reset: HumanDuration = HumanDuration::seconds(60);
    }
}

/// Why the remote lookup cannot start.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// A setting is wrong.
    #[error("lookup.remote.{0}")]
    Setting(String),
    /// The thread could not be started.
    #[error("cannot start the thread of the remote lookup: {0}")]
    Thread(#[source] io::Error),
}

impl RemoteSettings {
    /// Returns the endpoint, if all settings are valid.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(&self) -> Result<Uri, RemoteError> {
        let endpoint = self.endpoint().map_err(|error| RemoteError::Setting(format!("endpoint: {error}")))?;
        let mut first = None;
        self.check_ranges("", &mut |key, message| {
            first.get_or_insert(RemoteError::Setting(format!("{key}: {message}")));
        });
        first.map_or(Ok(endpoint), Err)
    }

    /// Loads the certificates that an enabled lookup over TLS trusts.
    pub(crate) fn roots(&self) -> Result<TrustedRoots, TrustedRootsError> {
        let is_http = self.endpoint().is_ok_and(|endpoint| endpoint.scheme_str() == Some("http"));
        match self.tls.ca.as_deref() {
            None if is_http || !self.enabled => Ok(TrustedRoots::default()),
            ca => TrustedRoots::load(ca),
        }
    }

    /// Returns the endpoint, or why it is invalid.
    pub(crate) fn endpoint(&self) -> Result<Uri, String> {
        let text = &self.endpoint;
        let invalid = || format!("'{text}' is not a URL; write it as https://ja4db.com/api/read/");
        let endpoint: Uri = text.parse().map_err(|_| invalid())?;
        let host = endpoint.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        if endpoint.query().is_some() {
            return Err(invalid());
        }
        match endpoint.scheme_str() {
            Some("https") => Ok(endpoint),
            Some("http") if is_loopback_host(host) => Ok(endpoint),
            Some("http") => {
                Err(format!("'{text}' is not https; http is accepted for 127.0.0.1, ::1 and localhost only"))
            }
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str) -> Result<Uri, String> {
        let settings = RemoteSettings { endpoint: endpoint.to_owned(), ..RemoteSettings::default() };
        settings.check().map_err(|error| error.to_string())
    }

    #[test]
    fn cleartext_is_accepted_for_this_host_only() {
        assert!(!RemoteSettings::default().enabled && RemoteSettings::default().check().is_ok());
        for good in ["https://db.example/x", "http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/read"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["http://ja4db.com/api/read/", "http://127.0.0.1.example/", "http://localhost.example/", "http://10.0.0.1/"]
        {
            assert!(check(bad).unwrap_err().contains("is not https"), "{bad}");
        }
        for bad in ["", "ja4db.com", "/read", "ftp://127.0.0.1/", "https://", "https://a.example/?q="] {
            assert!(check(bad).unwrap_err().contains("is not a URL"), "{bad}");
        }
    }

    #[test]
    fn a_section_changes_only_the_keys_that_it_has() {
        let settings: RemoteSettings =
            toml::from_str("enabled = true\nmiss_age = \"10m\"\nmethods = [\"ja4\"]").unwrap();
        let expected = RemoteSettings {
            enabled: true,
            miss_age: HumanDuration::seconds(600),
            methods: Methods::of(&[Method::Ja4]),
            ..RemoteSettings::default()
        };
        assert_eq!(settings, expected);
        assert!(toml::from_str::<RemoteSettings>("endpoints = \"x\"").is_err());
        let mut errors = Vec::new();
        let zeros = RemoteSettings { queue: 0, breaker_failures: 0, ..RemoteSettings::default() };
        zeros.check_ranges("lookup.remote", &mut |key, message| errors.push(format!("{key}: {message}")));
        let zero = |name: &str| format!("lookup.remote.{name}: 0 is out of range; expected a value of at least 1");
        assert_eq!(errors, [zero("queue"), zero("breaker_failures")]);
    }
}
