//! JA4S, the TLS server fingerprint (specification, section 4).
//!
//! ```text
//! JA4S   = protocol version extensions alpn _ suite _ H12(extensions in wire order)
//! JA4S_r = protocol version extensions alpn _ suite _ extensions in wire order
//! ```

use crate::fingerprint::hash::hex4;
use crate::fingerprint::list::{ListText, Memo};
use crate::fingerprint::{Carrier, Forms, alpn_code, ascii, two_digits, version_code};
use crate::wire::tls::{ServerHello, is_grease};

/// The forms of one JA4S. Meant to be kept and written again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ja4sValues {
    /// JA4S.
    pub value: String,
    /// JA4S_r; empty unless all forms were asked for.
    pub raw: String,
}

/// Computes JA4S. One per shard, as [`Ja4Engine`](crate::fingerprint::ja4::Ja4Engine).
pub struct Ja4sEngine {
    memo: Memo,
    text: ListText,
    extensions: Vec<u16>,
}

impl Default for Ja4sEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Ja4sEngine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { memo: Memo::new(), text: ListText::default(), extensions: Vec::new() }
    }

    /// Writes the fingerprint of `hello` over `out`. A HelloRetryRequest has one like any other.
    pub fn ja4s(&mut self, hello: &ServerHello<'_>, carrier: Carrier, forms: Forms, out: &mut Ja4sValues) {
        self.extensions.clear();
        self.extensions.extend(hello.extensions.kinds().filter(|&kind| !is_grease(kind)));

        let [v1, v2] = version_code(hello.version());
        let [e1, e2] = two_digits(self.extensions.len());
        let [p1, p2] = alpn_code(hello.alpn().next());
        let [s1, s2, s3, s4] = hex4(hello.cipher_suite);
        let start = [carrier.letter(), v1, v2, e1, e2, p1, p2, b'_', s1, s2, s3, s4, b'_'];

        out.value.clear();
        out.value.push_str(ascii(&start));
        let hash = self.memo.get_or(&self.extensions, || self.text.hash(&self.extensions));
        out.value.push_str(hash.as_str());
        out.raw.clear();
        if forms == Forms::All {
            out.raw.push_str(ascii(&start));
            out.raw.push_str(ascii(self.text.of(&self.extensions)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tls::builder::HelloBuilder;

    fn ja4s(hello: HelloBuilder, carrier: Carrier) -> (String, String) {
        let body = hello.build_server();
        let mut out = Ja4sValues::default();
        Ja4sEngine::new().ja4s(&ServerHello::parse(&body).unwrap(), carrier, Forms::All, &mut out);
        (out.value, out.raw)
    }

    fn server(version: u16, suite: u16, kinds: &[u16]) -> HelloBuilder {
        let hello = HelloBuilder::new(version).suites(&[suite]);
        kinds.iter().fold(hello, |hello, &kind| match kind {
            0x0010 => hello.alpn(&[b"h2"]),
            0x002b => hello.extension(kind, &[3, 4]),
            _ => hello.extension(kind, &[]),
        })
    }

    #[test]
    fn examples_of_the_specification() {
        let (tcp, quic, dtls) = (Carrier::Tcp, Carrier::Quic, Carrier::Dtls);
        let h2: &[u16] = &[0x0000, 0x000b, 0xff01, 0x0010, 0x0023, 0x0017];
        for (carrier, version, suite, kinds, value, raw) in [
            (tcp, 0x0303, 0xc02f, h2, "t1206h2_c02f_3603f09c43ba", "t1206h2_c02f_0000,000b,ff01,0010,0023,0017"),
            (
                tcp,
                0x0303,
                0xc030,
                &[0x0005, 0x0017, 0xff01, 0x0000],
                "t120400_c030_4e8089b08790",
                "t120400_c030_0005,0017,ff01,0000",
            ),
            (tcp, 0x0303, 0x1301, &[0x0033, 0x002b], "t130200_1301_234ea6891581", "t130200_1301_0033,002b"),
            (tcp, 0x0303, 0x1302, &[0x002b, 0x0033], "t130200_1302_a56c5b993250", "t130200_1302_002b,0033"),
            (quic, 0x0303, 0x1301, &[0x0033, 0x002b], "q130200_1301_234ea6891581", "q130200_1301_0033,002b"),
            (
                dtls,
                0xfeff,
                0x0035,
                &[0xff01, 0x0023, 0x000f],
                "dd10300_0035_cef8820c8f19",
                "dd10300_0035_ff01,0023,000f",
            ),
        ] {
            assert_eq!(ja4s(server(version, suite, kinds), carrier), (value.to_owned(), raw.to_owned()));
        }
    }

    #[test]
    fn without_extensions_the_last_section_is_zeros_and_raw_empty() {
        let (value, raw) = ja4s(server(0x0300, 0x0005, &[]).without_extensions(), Carrier::Tcp);
        assert_eq!(value, "ts30000_0005_000000000000");
        assert_eq!(raw, "ts30000_0005_");
    }

    #[test]
    fn grease_is_ignored_and_the_rest_counted_in_wire_order() {
        let plain = ja4s(server(0x0303, 0x1301, &[0x0033, 0x002b]), Carrier::Tcp);
        assert_eq!(ja4s(server(0x0303, 0x1301, &[0x5a5a, 0x0033, 0x002b]), Carrier::Tcp), plain);
        let (_, raw) = ja4s(server(0x0303, 0x1301, &[0xff01, 0x002b, 0xff01]), Carrier::Tcp);
        assert_eq!(raw, "t130300_1301_ff01,002b,ff01");
    }

    #[test]
    fn raw_is_written_only_when_asked_for() {
        let body = server(0x0303, 0x1301, &[0x0033]).build_server();
        let mut out = Ja4sValues { value: "old".into(), raw: "old".into() };
        Ja4sEngine::new().ja4s(&ServerHello::parse(&body).unwrap(), Carrier::Tcp, Forms::Value, &mut out);
        assert_eq!(out.raw, "");
        assert!(out.value.starts_with("t120100_1301_"));
    }
}
