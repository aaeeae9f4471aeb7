use ::tests::certificate::{self, der};
use proptest::prelude::*;

use super::*;

const COUNTRY: &[u8] = &[0x55, 4, 6];
const ORGANISATION: &[u8] = &[0x55, 4, 10];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const UTF8: u8 = tag::UTF8_STRING;

fn build() -> certificate::Certificate {
    certificate::Certificate::new()
}

fn hex(oids: impl Iterator<Item = &'static [u8]>) -> String {
    let oids: Vec<String> = oids.map(|oid| oid.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    oids.join(",")
}

/// Type, tag and bytes of an attribute.
type Attribute<'a> = (&'a [u8], u8, &'a [u8]);

/// The certificate, with a static lifetime.
fn parse(bytes: Vec<u8>) -> X509Certificate<'static> {
    X509Certificate::parse(bytes.leak()).unwrap()
}

#[test]
fn identifiers_are_listed_in_order_with_repetitions() {
    let attributes: [&[Attribute<'_>]; 3] = [
        &[(COUNTRY, 0x13, b"CH")],
        &[(ORGANISATION, UTF8, b"One"), (COMMON_NAME, UTF8, b"a")],
        &[(COMMON_NAME, UTF8, b"b")],
    ];
    let built = attributes.into_iter().fold(build(), |built, rdn| built.issuer(rdn));
    let built = built.subject(&[(&[0x88, 0x37, 1], UTF8, b"under 2.999")]);
    let built =
        built.extension(&[0x55, 0x1d, 0x13], true, &[]).extension(&[0x55, 0x1d, 0x0f], false, b"\x03\x02\x05\xa0");
    let found = parse(built.build());
    assert_eq!(hex(found.issuer.oids()), "550406,55040a,550403,550403");
    assert_eq!(hex(found.subject.oids()), "883701");
    assert_eq!(hex(found.extension_oids()), "551d13,551d0f");
    assert_eq!(found.issuer_cn().unwrap(), "b");
    assert_eq!(found.subject_cn(), None);
}

#[test]
fn a_certificate_of_version_1_has_no_extensions() {
    let found = parse(build().build());
    assert_eq!((found.extension_oids().count(), found.issuer.oids().count(), found.san_count()), (0, 0, 0));
    assert_eq!((found.not_before(), found.not_after()), (Some(1_735_689_600), Some(1_767_225_599)));
}

#[test]
fn names_in_subject_alt_name_are_counted() {
    let names = [der(0x82, b"example.org"), der(0x82, b"www.example.org"), der(0x87, &[192, 0, 2, 1])].concat();
    let with =
        |critical, value: &[u8]| parse(build().extension(&[0x55, 0x1d, 0x11], critical, value).build()).san_count();
    assert_eq!(with(false, &der(0x30, &names)), 3);
    assert_eq!(with(true, &der(0x30, &names)), 3);
    assert_eq!(with(true, &der(0x30, &[])), 0);
    assert_eq!(with(false, b"garbage"), 0);
    assert_eq!(with(false, &der(0x30, &[&names[..], &[0x82, 9]].concat())), 3);
}

#[test]
fn a_malformed_value_does_not_lose_the_identifiers() {
    // The value's length exceeds its attribute.
    let pair = der(0x30, &[&der(6, COMMON_NAME)[..], &[UTF8, 99, b'x']].concat());
    let broken = der(0x31, &pair);
    let fine = der(0x31, &der(0x30, &[der(6, COMMON_NAME), der(UTF8, b"x")].concat()));
    let bytes = build().issuer(&[(COMMON_NAME, UTF8, b"x")]).validity((0x17, b"never"), (0x05, b"")).build();
    let place = bytes.windows(fine.len()).position(|window| window == fine).unwrap();
    let bytes = [&bytes[..place], &broken, &bytes[place + fine.len()..]].concat();
    assert_eq!(broken.len(), fine.len());
    let found = parse(bytes);
    assert_eq!(hex(found.issuer.oids()), "550403");
    assert_eq!((found.issuer_cn(), found.not_before(), found.not_after()), (None, None, None));
}

#[test]
fn a_common_name_that_is_not_text_is_skipped() {
    let built = build().subject(&[(COMMON_NAME, UTF8, b"text")]).subject(&[(COMMON_NAME, 0x02, b"\x07")]);
    assert_eq!(parse(built.build()).subject_cn().unwrap(), "text");
}

#[test]
fn malformed_certificates_are_rejected() {
    let bytes = build().subject(&[(COUNTRY, 0x13, b"CH")]).extension(&[0x55, 0x1d, 0x13], true, &[]).build();
    assert!(X509Certificate::parse(&bytes).is_ok());
    let refused = |bytes: &[u8]| X509Certificate::parse(bytes).unwrap_err();
    assert_eq!(refused(&[]), WireError::Truncated);
    assert_eq!(refused(&bytes[..bytes.len() - 1]), WireError::BadLength);
    assert_eq!(refused(&[&bytes[..], &[0]].concat()), WireError::TrailingBytes);
    assert_eq!(refused(&der(0x31, &[])), WireError::Magic);
    assert_eq!(refused(&der(0x30, &der(0x30, &[]))), WireError::Truncated);
    assert_eq!(refused(&build().subject(&[(&[], UTF8, b"x")]).build()), WireError::Value);
}

/// Created with `openssl ca`, self-signed: an RDN of two values, a T61String, a BMPString, times beyond 2049,
/// an attribute and an extension under 2.999.
#[test]
fn a_certificate_of_openssl_is_parsed() {
    let found = X509Certificate::parse(include_bytes!("testdata/openssl.der")).unwrap();
    assert_eq!(hex(found.issuer.oids()), "550406,55040b,55040a,883703,550403");
    assert_eq!(hex(found.subject.oids()), "550406,55040b,55040a,883703,550403");
    assert_eq!(hex(found.extension_oids()), "551d13,551d11,883705,551d0f,551d0e");
    assert_eq!((found.subject_cn().unwrap(), found.issuer_cn().unwrap()), ("Zürich €".into(), "Zürich €".into()));
    assert_eq!((found.not_before(), found.not_after()), (Some(2_556_144_000), Some(4_102_444_799)));
    assert_eq!(found.san_count(), 3);
}

proptest! {
    #[test]
    fn one_changed_byte_never_panics(place in 0_usize..300, value: u8) {
        let mut bytes = build().issuer(&[(COMMON_NAME, UTF8, b"ca"), (COUNTRY, 0x13, b"CH")])
            .subject(&[(COMMON_NAME, 0x1e, b"\0a")])
            .extension(&[0x55, 0x1d, 0x11], true, &der(0x30, &der(0x82, b"a")))
            .build();
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        if let Ok(found) = X509Certificate::parse(&bytes) {
            let _ = (found.subject_cn(), found.issuer_cn(), found.not_before(), found.not_after(), found.san_count());
            prop_assert!(found.issuer.oids().chain(found.extension_oids()).all(|oid| !oid.is_empty()));
        }
    }
}
