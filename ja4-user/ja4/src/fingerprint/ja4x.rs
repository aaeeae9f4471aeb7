//! JA4X, the fingerprint of an X.509 certificate (specification, section 7).
//!
//! ```text
//! JA4X   = H12(issuer) _ H12(subject) _ H12(extensions)
//! JA4X_r = issuer _ subject _ extensions
//! ```
//! Each part is a list of object identifiers in the certificate's order, joined with `,`; each one prints
//! as the hex of its DER content. Values are ignored.

use crate::fingerprint::hash::hex_digit;
use crate::fingerprint::list::Memo;
use crate::fingerprint::{Forms, H12, ascii};
use crate::wire::x509::Certificate;

/// Ends an identifier in a list of their bytes, where it cannot be mistaken for one.
const END: u16 = 0x0100;

/// The forms of one JA4X. Meant to be kept and written again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ja4xValues {
    /// JA4X.
    pub value: String,
    /// JA4X_r; empty unless all forms were asked for.
    pub raw: String,
}

/// Computes JA4X. One per shard, as [`Ja4Engine`](crate::fingerprint::ja4::Ja4Engine).
pub struct Ja4xEngine {
    /// Lists of identifiers seen before: most certificates come from a few issuers' few forms.
    memo: Memo,
    /// The present list: the bytes of each identifier, and [`END`].
    list: Vec<u16>,
    text: Vec<u8>,
}

impl Default for Ja4xEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Ja4xEngine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { memo: Memo::new(), list: Vec::new(), text: Vec::new() }
    }

    /// Writes the fingerprint of `certificate` over `out`.
    ///
    /// Once its buffers have grown to the size of the traffic's certificates this allocates nothing.
    pub fn ja4x(&mut self, certificate: &Certificate<'_>, forms: Forms, out: &mut Ja4xValues) {
        out.value.clear();
        out.raw.clear();
        self.part(certificate.issuer.oids(), forms, out);
        out.separate(forms);
        self.part(certificate.subject.oids(), forms, out);
        out.separate(forms);
        self.part(certificate.extension_oids(), forms, out);
    }

    /// Appends one part.
    fn part<'a>(&mut self, oids: impl Iterator<Item = &'a [u8]>, forms: Forms, out: &mut Ja4xValues) {
        self.list.clear();
        for oid in oids {
            self.list.extend(oid.iter().copied().map(u16::from));
            self.list.push(END);
        }
        let hash = self.memo.get_or(&self.list, || {
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

impl Ja4xValues {
    fn separate(&mut self, forms: Forms) {
        self.value.push('_');
        if forms == Forms::All {
            self.raw.push('_');
        }
    }
}

/// Writes a list over `text`.
fn write(text: &mut Vec<u8>, list: &[u16]) {
    text.clear();
    // Every identifier ends with a comma, but for the last one.
    for &byte in list.split_last().map_or(&[][..], |(_end, list)| list) {
        match u8::try_from(byte) {
            Ok(byte) => text.extend([hex_digit(byte >> 4), hex_digit(byte & 0x0f)]),
            Err(_) => text.push(b','),
        }
    }
}

#[cfg(test)]
mod tests {
    use ::tests::certificate;
    use proptest::prelude::*;

    use super::*;

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

    fn ja4x(engine: &mut Ja4xEngine, der: &[u8]) -> (String, String) {
        let mut out = Ja4xValues::default();
        engine.ja4x(&Certificate::parse(der).unwrap(), Forms::All, &mut out);
        (out.value, out.raw)
    }

    #[test]
    fn examples_of_the_specification() {
        let mut engine = Ja4xEngine::new();
        let (issuer, subject) = ("550406,55040a,550403", "550406,550408,550407,55040a,550403");
        let leaf = "551d23,551d0e,551d11,551d0f,551d25,551d1f,551d20,2b06010505070101,551d13,2b06010401d679020402";
        // Twice: the second time from memory.
        for _ in 0..2 {
            let (value, raw) = ja4x(&mut engine, &certificate(issuer, subject, leaf));
            assert_eq!(value, "a373a9f83c6b_2bab15409345_7bf9a7bf7029");
            assert_eq!(raw, format!("{issuer}_{subject}_{leaf}"));
        }
        let (value, _) = ja4x(&mut engine, &certificate("550403,550406,550408,55040a", "", "551d0f,551d25,551d11"));
        assert_eq!(value, "96a6439c8f5c_000000000000_aae71e8db6d7");
    }

    #[test]
    fn an_empty_part_is_zeros_and_raw_empty() {
        let (value, raw) = ja4x(&mut Ja4xEngine::new(), &certificate("", "550403", ""));
        assert_eq!(value, format!("000000000000_{}_000000000000", H12::of(b"550403")));
        assert_eq!(raw, "_550403_");
    }

    #[test]
    fn identifiers_are_copied_not_computed() {
        // 2.999.3, whose first byte is beyond 80, and 1.2.840.113549.1.9.1.
        let (_, raw) = ja4x(&mut Ja4xEngine::new(), &certificate("883703", "2a864886f70d010901", "0500"));
        assert_eq!(raw, "883703_2a864886f70d010901_0500");
    }

    #[test]
    fn where_an_identifier_ends_makes_a_difference() {
        let mut engine = Ja4xEngine::new();
        let (one, _) = ja4x(&mut engine, &certificate("5504,0355", "", ""));
        let (other, _) = ja4x(&mut engine, &certificate("550403,55", "", ""));
        assert_ne!(one, other);
    }

    #[test]
    fn raw_is_written_only_when_asked_for() {
        let der = certificate("550403", "550403", "");
        let mut out = Ja4xValues { value: "old".into(), raw: "old".into() };
        Ja4xEngine::new().ja4x(&Certificate::parse(&der).unwrap(), Forms::Value, &mut out);
        assert_eq!((out.value.len(), out.raw.as_str()), (38, ""));
    }

    proptest! {
        #[test]
        fn the_value_is_the_hash_of_the_raw_form(
            lists in prop::array::uniform3(prop::collection::vec("([0-9a-f]{2}){1,12}", 0..30)),
        ) {
            let [issuer, subject, extensions] = lists.map(|list| list.join(","));
            let (value, raw) = ja4x(&mut Ja4xEngine::new(), &certificate(&issuer, &subject, &extensions));
            let hashes = [&issuer, &subject, &extensions].map(|part| H12::of(part.as_bytes()).to_string());
            prop_assert_eq!(value, hashes.join("_"));
            prop_assert_eq!(raw, [issuer, subject, extensions].join("_"));
        }
    }
}
