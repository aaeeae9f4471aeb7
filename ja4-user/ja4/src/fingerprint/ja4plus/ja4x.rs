//! JA4X, the fingerprint of an X.509 certificate (FoxIO JA4+ technical details, JA4X.md).
//!
//! ```text
//! JA4X   = H12(issuer) _ H12(subject) _ H12(extensions)
//! JA4X_r = issuer _ subject _ extensions
//! ```
//! Each part is a list of object identifiers in the certificate's order, joined with `,`; each identifier prints
//! as the hex of its DER content. Values are ignored.

use zerocopy::IntoBytes;

use crate::fingerprint::hash::H12;
use crate::fingerprint::list::Memo;
use crate::fingerprint::text::{ascii, hex2};
use crate::fingerprint::value::{Fingerprint, Forms};
use crate::wire::x509::X509Certificate;

/// Ends an identifier in a list of bytes; no byte has this value.
const END: u16 = 0x0100;

/// Computes JA4X.
pub(super) struct Ja4xHasher {
    /// Hashes of lists of identifiers: most certificates come from a few issuers, in a few forms.
    memo: Memo,
    /// The current list: the bytes of each identifier, and [`END`].
    list: Vec<u16>,
    text: Vec<u8>,
}

impl Ja4xHasher {
    pub(super) const fn new(memo: Memo) -> Self {
        Self { memo, list: Vec::new(), text: Vec::new() }
    }

    /// Writes the fingerprint of `certificate` to `out`, which is empty.
    pub(super) fn write(&mut self, certificate: &X509Certificate<'_>, forms: Forms, out: &mut Fingerprint) {
        self.part(certificate.issuer.oids(), forms, out);
        separate(forms, out);
        self.part(certificate.subject.oids(), forms, out);
        separate(forms, out);
        self.part(certificate.extension_oids(), forms, out);
    }

    /// Appends one part.
    fn part<'a>(&mut self, oids: impl Iterator<Item = &'a [u8]>, forms: Forms, out: &mut Fingerprint) {
        self.list.clear();
        for oid in oids {
            self.list.extend(oid.iter().copied().map(u16::from));
            self.list.push(END);
        }
        let hash = self.memo.get_or(self.list.as_bytes(), || {
            write(&mut self.text, &self.list);
            H12::of(&self.text)
        });
        out.value.push_str(hash.as_str());
        if forms == Forms::All {
            write(&mut self.text, &self.list);
            out.raw.push_str(ascii(&self.text));
        }
    }
}

fn separate(forms: Forms, out: &mut Fingerprint) {
    out.value.push('_');
    if forms == Forms::All {
        out.raw.push('_');
    }
}

/// Replaces `text` with the text of a list.
fn write(text: &mut Vec<u8>, list: &[u16]) {
    text.clear();
    // Every identifier but the last one ends with a comma.
    for &byte in list.split_last().map_or(&[][..], |(_end, list)| list) {
        match u8::try_from(byte) {
            Ok(byte) => text.extend(hex2(byte)),
            Err(_) => text.push(b','),
        }
    }
}

#[cfg(test)]
mod tests {
    use ::tests::certificate;
    use proptest::prelude::*;

    use super::*;
    use crate::fingerprint::hashers::Hashers;
    use crate::fingerprint::input::Input;

    /// A certificate with these identifiers, in hex.
    fn certificate(issuer: &str, subject: &str, extensions: &str) -> Vec<u8> {
        let mut built = certificate::Certificate::new();
        for oid in oids(issuer) {
            built = built.issuer(&[(&oid, 0x0c, b"any")]);
        }
        for oid in oids(subject) {
            built = built.subject(&[(&oid, 0x0c, b"any")]);
        }
        oids(extensions).into_iter().fold(built, |built, oid| built.extension(&oid, false, &[])).build()
    }

    fn oids(list: &str) -> Vec<Vec<u8>> {
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        list.split_terminator(',').map(|oid| oid.as_bytes().chunks(2).map(byte).collect()).collect()
    }

    fn ja4x(hashers: &mut Hashers, der: &[u8]) -> (String, String) {
        let out = hashers.compute(Input::Certificate(&X509Certificate::parse(der).unwrap())).unwrap();
        (out.value.clone(), out.raw.clone())
    }

    #[test]
    fn published_examples() {
        let mut hashers = Hashers::new(Forms::All);
        let (issuer, subject) = ("550406,55040a,550403", "550406,550408,550407,55040a,550403");
        let leaf = "551d23,551d0e,551d11,551d0f,551d25,551d1f,551d20,2b06010505070101,551d13,2b06010401d679020402";
        // Twice: the second time from the memo.
        for _ in 0..2 {
            let (value, raw) = ja4x(&mut hashers, &certificate(issuer, subject, leaf));
            assert_eq!(value, "a373a9f83c6b_2bab15409345_7bf9a7bf7029");
            assert_eq!(raw, format!("{issuer}_{subject}_{leaf}"));
        }
        let (value, _) = ja4x(&mut hashers, &certificate("550403,550406,550408,55040a", "", "551d0f,551d25,551d11"));
        assert_eq!(value, "96a6439c8f5c_000000000000_aae71e8db6d7");
    }

    #[test]
    fn an_empty_part_is_zeros_and_empty_in_the_raw_form() {
        let (value, raw) = ja4x(&mut Hashers::new(Forms::All), &certificate("", "550403", ""));
        assert_eq!(value, format!("000000000000_{}_000000000000", H12::of(b"550403")));
        assert_eq!(raw, "_550403_");
    }

    #[test]
    fn identifiers_print_as_encoded() {
        // 2.999.3, with a first byte above 80, and 1.2.840.113549.1.9.1.
        let (_, raw) = ja4x(&mut Hashers::new(Forms::All), &certificate("883703", "2a864886f70d010901", "0500"));
        assert_eq!(raw, "883703_2a864886f70d010901_0500");
    }

    #[test]
    fn lists_that_differ_in_boundaries_only_have_different_values() {
        let mut hashers = Hashers::new(Forms::All);
        let (one, _) = ja4x(&mut hashers, &certificate("5504,0355", "", ""));
        let (other, _) = ja4x(&mut hashers, &certificate("550403,55", "", ""));
        assert_ne!(one, other);
    }

    #[test]
    fn the_raw_form_is_computed_on_request_only() {
        let der = certificate("550403", "550403", "");
        let certificate = X509Certificate::parse(&der).unwrap();
        let mut hashers = Hashers::new(Forms::Value);
        let out = hashers.compute(Input::Certificate(&certificate)).unwrap();
        assert_eq!((out.as_str().len(), out.raw()), (38, None));
    }

    proptest! {
        #[test]
        fn the_value_is_the_hash_of_the_raw_form(
            lists in prop::array::uniform3(prop::collection::vec("([0-9a-f]{2}){1,12}", 0..30)),
        ) {
            let [issuer, subject, extensions] = lists.map(|list| list.join(","));
            let (value, raw) = ja4x(&mut Hashers::new(Forms::All), &certificate(&issuer, &subject, &extensions));
            let hashes = [&issuer, &subject, &extensions].map(|part| H12::of(part.as_bytes()).to_string());
            prop_assert_eq!(value, hashes.join("_"));
            prop_assert_eq!(raw, [issuer, subject, extensions].join("_"));
        }
    }
}
