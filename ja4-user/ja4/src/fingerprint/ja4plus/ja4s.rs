//! JA4S, the TLS server fingerprint (FoxIO JA4+ technical details, JA4S.md).
//!
//! ```text
//! JA4S   = protocol version extensions alpn _ suite _ H12(extensions in wire order)
//! JA4S_r = protocol version extensions alpn _ suite _ extensions in wire order
//! ```

use zerocopy::IntoBytes;

use crate::fingerprint::list::{ListText, Memo};
use crate::fingerprint::text::{alpn_code, ascii, hex4, two_digits, version_code};
use crate::fingerprint::value::{Fingerprint, Forms};
use crate::wire::tls::{ServerHello, is_grease};

/// Computes JA4S.
pub(super) struct Ja4sHasher {
    memo: Memo,
    text: ListText,
    extensions: Vec<u16>,
}

impl Ja4sHasher {
    pub(super) fn new(memo: Memo) -> Self {
        Self { memo, text: ListText::default(), extensions: Vec::new() }
    }

    /// Writes the fingerprint of `hello`, which may be a HelloRetryRequest, to `out`, which is empty.
    pub(super) fn write(&mut self, hello: &ServerHello<'_>, forms: Forms, out: &mut Fingerprint) {
        self.extensions.clear();
        self.extensions.extend(hello.extensions.kinds().filter(|&kind| !is_grease(kind)));

        let [v1, v2] = version_code(hello.version());
        let [e1, e2] = two_digits(self.extensions.len());
        let [p1, p2] = alpn_code(hello.alpn().next());
        let [s1, s2, s3, s4] = hex4(hello.cipher_suite);
        let start = [hello.carrier.letter(), v1, v2, e1, e2, p1, p2, b'_', s1, s2, s3, s4, b'_'];

        out.value.push_str(ascii(&start));
        let hash = self.memo.get_or(self.extensions.as_bytes(), || self.text.hash(&self.extensions));
        out.value.push_str(hash.as_str());
        if forms == Forms::All {
            out.raw.push_str(ascii(&start));
            out.raw.push_str(ascii(self.text.of(&self.extensions)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::functions;
    use crate::fingerprint::hashers::Hashers;
    use crate::fingerprint::input::Input;
    use crate::wire::tls::Carrier;
    use crate::wire::tls::builder::HelloBuilder;

    fn ja4s(hello: HelloBuilder, carrier: Carrier) -> (String, String) {
        let out = functions::ja4s(&ServerHello::parse(&hello.build_server(), carrier).unwrap());
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
    fn published_examples() {
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
    fn without_extensions_the_last_section_is_zeros_and_empty_in_the_raw_form() {
        let (value, raw) = ja4s(server(0x0300, 0x0005, &[]).without_extensions(), Carrier::Tcp);
        assert_eq!(value, "ts30000_0005_000000000000");
        assert_eq!(raw, "ts30000_0005_");
    }

    #[test]
    fn grease_is_ignored_and_other_types_are_listed_in_wire_order() {
        let plain = ja4s(server(0x0303, 0x1301, &[0x0033, 0x002b]), Carrier::Tcp);
        assert_eq!(ja4s(server(0x0303, 0x1301, &[0x5a5a, 0x0033, 0x002b]), Carrier::Tcp), plain);
        let (_, raw) = ja4s(server(0x0303, 0x1301, &[0xff01, 0x002b, 0xff01]), Carrier::Tcp);
        assert_eq!(raw, "t130300_1301_ff01,002b,ff01");
    }

    #[test]
    fn the_raw_form_is_computed_on_request_only() {
        let body = server(0x0303, 0x1301, &[0x0033]).build_server();
        let hello = ServerHello::parse(&body, Carrier::Tcp).unwrap();
        let mut hashers = Hashers::new(Forms::Value);
        let out = hashers.compute(Input::ServerHello(&hello)).unwrap();
        assert_eq!(out.raw(), None);
        assert!(out.as_str().starts_with("t120100_1301_"));
        assert_eq!(out.as_str(), functions::ja4s(&hello).as_str());
    }
}
