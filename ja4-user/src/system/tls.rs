//! Configuration of TLS clients: they trust the certificates of the system, and those of a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::document::settings;

/// Longest file of certificates, bytes; the public ones of a system have 220 KiB.
const MAX_CA_FILE: u64 = 4 << 20;

settings! {
    /// Section `tls` of a client.
    #[derive(Eq)]
    pub struct TlsSettings {
        /// File of certificates (PEM) that are trusted in addition to those of the system.
        pub ca: Option<PathBuf> = None;
    }
}

/// Trusted certificates, with an order that depends on the content of the store only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedRoots(Arc<[CertificateDer<'static>]>);

/// Why no certificate is trusted.
#[derive(Debug, Error)]
pub(crate) enum TrustedRootsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {MAX_CA_FILE} bytes; is it the right file?", .0.display())]
    TooLarge(PathBuf),
    #[error("{} contains no PEM certificates, or an invalid one", .0.display())]
    Invalid(PathBuf),
    #[error("the system has no trusted certificates{0}; install ca-certificates, or set tls.ca")]
    NoStore(String),
}

impl TrustedRoots {
    /// Loads the certificates of the system (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`) and those of `ca`.
    ///
    /// # Errors
    /// `ca` cannot be read or has no valid certificates, or without `ca` the system has none.
    pub(crate) fn load(ca: Option<&Path>) -> Result<Self, TrustedRootsError> {
        let added = ca.map(read_pem).transpose()?;
        let system = rustls_native_certs::load_native_certs();
        let mut roots = system.certs;
        // rustls does not accept every certificate of a store.
        roots.retain(is_usable);
        if roots.is_empty() && added.is_none() {
            let cause = system.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(TrustedRootsError::NoStore(cause));
        }
        roots.extend(added.unwrap_or_default());
        roots.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        roots.dedup();
        Ok(Self(roots.into()))
    }

    /// Returns the configuration of a TLS client.
    pub(crate) fn client(&self) -> Result<ClientConfig, rustls::Error> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(store).with_no_client_auth())
    }

    /// Returns the configuration of an HTTP client.
    pub(crate) fn http_client(&self) -> TlsConfig {
        let roots: Vec<_> = self.0.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn is_usable(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustedRootsError> {
    let unreadable = |source| TrustedRootsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_CA_FILE {
        return Err(TrustedRootsError::TooLarge(path.to_owned()));
    }
    let text = fs::read(path).map_err(unreadable)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() && certificates.iter().all(is_usable) => Ok(certificates),
        _ => Err(TrustedRootsError::Invalid(path.to_owned())),
    }
}
