use std::sync::{LazyLock, Mutex};

use ja4::wire::tls::{CertificateList, MAX_CERTIFICATES};
use ja4::wire::x509::X509Certificate;
use ja4::{Forms, H12, Hashers, Input};
use ja4_user::model;

/// Any bytes as a certificate, and as the list of a certificate message: identifiers lie in the bytes in
/// their order, attributes are bounded, and JA4X is the hash of its raw form.
pub fn x509(data: &[u8]) {
    certificate(data);
    let Ok(list) = CertificateList::parse(data) else {
        return;
    };
    let (mut bytes, mut count) = (3, 0);
    for found in list {
        let Ok(found) = found else {
            return;
        };
        certificate(found);
        bytes += 3 + found.len();
        count += 1;
    }
    assert!(bytes == data.len() && count <= MAX_CERTIFICATES);
}

fn certificate(der: &[u8]) {
    let Ok(found) = X509Certificate::parse(der) else {
        return;
    };
    let mut before = der.as_ptr();
    for oid in found.issuer.oids().chain(found.subject.oids()).chain(found.extension_oids()) {
        let place = oid.as_ptr_range();
        assert!(before < place.start && place.start < place.end && place.end < der.as_ptr_range().end);
        before = place.end;
    }
    for name in [found.issuer_cn(), found.subject_cn()].into_iter().flatten() {
        assert!(name.len() <= model::MAX_TEXT);
    }
    // The years 0 to 9999.
    for time in [found.not_before(), found.not_after()].into_iter().flatten() {
        assert!((-62_167_219_200..=253_402_300_799).contains(&time));
    }
    assert!(found.san_count() as usize <= der.len() / 2);
    ja4x(&found);
}

fn ja4x(certificate: &X509Certificate<'_>) {
    /// Reused, as a shard does: no value of one certificate may show in the next.
    static HASHERS: LazyLock<[Mutex<Hashers>; 2]> =
        LazyLock::new(|| [Forms::All, Forms::Value].map(|forms| Mutex::new(Hashers::new(forms))));

    let [mut all, mut values] = HASHERS.each_ref().map(|hashers| hashers.lock().unwrap());
    let Some(found) = all.compute(Input::Certificate(certificate)) else {
        return;
    };
    let hashes: Vec<H12> = found.raw().unwrap().split('_').map(|part| H12::of(part.as_bytes())).collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(found.as_str(), format!("{}_{}_{}", hashes[0], hashes[1], hashes[2]));
    let again = values.compute(Input::Certificate(certificate)).unwrap();
    assert_eq!((again.as_str(), again.raw()), (found.as_str(), None));
}
