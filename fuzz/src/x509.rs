//! X.509 certificates and certificate lists.

use std::sync::{LazyLock, Mutex};

use ja4::wire::tls::{CertificateList, MAX_CERTIFICATES};
use ja4::wire::x509::X509Certificate;
use ja4::{Forms, H12, Hashers, Input};
use ja4_user::model;

/// Parses the input as a certificate, and as the certificate list of a TLS Certificate message.
///
/// Checks that object identifiers lie within the certificate and in its order, that attributes stay within their
/// bounds, that the lengths of the certificates add up to the length of the list, and that JA4X is the hash of its raw
/// form.
pub fn x509(data: &[u8]) {
    check_certificate(data);
    let Ok(list) = CertificateList::parse(data) else {
        return;
    };
    let (mut list_len, mut count) = (3, 0);
    for certificate in list {
        let Ok(der) = certificate else {
            return;
        };
        check_certificate(der);
        list_len += 3 + der.len();
        count += 1;
    }
    assert!(list_len == data.len() && count <= MAX_CERTIFICATES);
}

fn check_certificate(der: &[u8]) {
    let Ok(certificate) = X509Certificate::parse(der) else {
        return;
    };
    let mut previous_end = der.as_ptr();
    for oid in certificate.issuer.oids().chain(certificate.subject.oids()).chain(certificate.extension_oids()) {
        let range = oid.as_ptr_range();
        assert!(previous_end < range.start && range.start < range.end && range.end < der.as_ptr_range().end);
        previous_end = range.end;
    }
    for name in [certificate.issuer_cn(), certificate.subject_cn()].into_iter().flatten() {
        assert!(name.len() <= model::MAX_TEXT);
    }
    // The years 0 to 9999.
    for time in [certificate.not_before(), certificate.not_after()].into_iter().flatten() {
        assert!((-62_167_219_200..=253_402_300_799).contains(&time));
    }
    assert!(certificate.san_count() as usize <= der.len() / 2);
    check_ja4x(&certificate);
}

fn check_ja4x(certificate: &X509Certificate<'_>) {
    /// Reused for all certificates, as in a shard: no data of one certificate may remain for the next.
    static HASHERS: LazyLock<[Mutex<Hashers>; 2]> =
        LazyLock::new(|| [Forms::All, Forms::Value].map(|forms| Mutex::new(Hashers::new(forms))));

    let [mut all_forms, mut value_only] = HASHERS.each_ref().map(|hashers| hashers.lock().unwrap());
    let Some(ja4x) = all_forms.compute(Input::Certificate(certificate)) else {
        return;
    };
    let hashes: Vec<H12> = ja4x.raw().unwrap().split('_').map(|part| H12::of(part.as_bytes())).collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(ja4x.as_str(), format!("{}_{}_{}", hashes[0], hashes[1], hashes[2]));
    let without_raw = value_only.compute(Input::Certificate(certificate)).unwrap();
    assert_eq!((without_raw.as_str(), without_raw.raw()), (ja4x.as_str(), None));
}
