//! ClientHello (RFC 8446, section 4.1.2; RFC 6347, section 4.2.1).

use crate::wire::tls::extension::{AlpnNames, TlsExtensions, U16List, extension_type};
use crate::wire::tls::hello::{Carrier, HelloStart, is_grease};
use crate::wire::{Cursor, WireError};

/// Longest host name (RFC 1035, section 2.3.4).
const MAX_HOST_NAME: usize = 255;

/// NameType host_name (RFC 6066, section 3).
const HOST_NAME: u8 = 0;

/// A ClientHello in wire order, with duplicates and GREASE.
///
/// Session id, suites, compression methods and extensions fit their lengths. The *bodies* of extensions are not
/// validated: a malformed one is present, and its accessor returns nothing.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// The carrier.
    pub carrier: Carrier,
    /// legacy_version: the highest version of the client, unless supported_versions is present.
    pub legacy_version: u16,
    /// 32 bytes.
    pub random: &'a [u8; 32],
    /// At most 32 bytes.
    pub session_id: &'a [u8],
    /// DTLS only: the cookie of a HelloVerifyRequest; else empty.
    pub cookie: &'a [u8],
    /// The offered suites; may be empty.
    pub cipher_suites: U16List<'a>,
    /// One byte per method; may be empty.
    pub compression_methods: &'a [u8],
    /// The extension block; empty if absent.
    pub extensions: TlsExtensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Parses the body of a client_hello message.
    ///
    /// # Errors
    /// A field or list does not fit the body, the list of suites has an odd length, or bytes follow the extensions.
    // Inlined, the fields stay in registers: returned through memory they are written in parts and read in whole, for
    // which the processor waits.
    #[inline(always)]
    pub fn parse(body: &'a [u8], carrier: Carrier) -> Result<Self, WireError> {
        let (mut hello, rest) = Self::before_extensions(body, carrier)?;
        hello.extensions = TlsExtensions::read(rest)?;
        Ok(hello)
    }

    /// Everything before the extensions, and the rest of the body.
    #[inline(always)]
    fn before_extensions(body: &'a [u8], carrier: Carrier) -> Result<(Self, Cursor<'a>), WireError> {
        let mut cursor = Cursor::new(body);
        let HelloStart { legacy_version, random, session_id } = HelloStart::read(&mut cursor)?;
        let cookie = match carrier {
            Carrier::Tcp | Carrier::Quic => &[],
            Carrier::Dtls => cursor.region_u8()?.rest(),
        };
        let cipher_suites = U16List::new(cursor.region_u16()?.rest())?;
        let compression_methods = cursor.region_u8()?.rest();
        let hello = Self {
            carrier,
            legacy_version,
            random,
            session_id,
            cookie,
            cipher_suites,
            compression_methods,
            extensions: TlsExtensions::default(),
        };
        Ok((hello, cursor))
    }

    /// Parses an incomplete body up to its last complete extension. The result has no valid fingerprint, because later
    /// extensions are missing.
    ///
    /// `None` if the body ends before the extensions.
    #[must_use]
    pub fn parse_start(start: &'a [u8], carrier: Carrier) -> Option<Self> {
        let (mut hello, rest) = Self::before_extensions(start, carrier).ok()?;
        hello.extensions = TlsExtensions::read_start(rest);
        Some(hello)
    }

    /// The highest offered version: of supported_versions, GREASE aside, if present and not empty, else legacy_version.
    #[inline]
    #[must_use]
    pub fn version(&self) -> u16 {
        let offered = self.supported_versions().iter().filter(|&version| !is_grease(version));
        offered.max().unwrap_or(self.legacy_version)
    }

    /// Whether server_name is present, even if malformed.
    #[must_use]
    pub fn has_server_name(&self) -> bool {
        self.extensions.server_name().is_some()
    }

    /// The first host_name of server_name, if it is printable ASCII of 1 to 255 bytes.
    #[must_use]
    pub fn sni(&self) -> Option<&'a str> {
        let mut names = Cursor::new(self.extensions.server_name()?).region_u16().ok()?;
        loop {
            let kind = names.u8().ok()?;
            let name = names.region_u16().ok()?.rest();
            if kind == HOST_NAME {
                let printable = name.iter().all(u8::is_ascii_graphic);
                let fits = (1..=MAX_HOST_NAME).contains(&name.len());
                return if printable && fits { str::from_utf8(name).ok() } else { None };
            }
        }
    }

    /// The offered protocols, in order.
    #[inline]
    #[must_use]
    pub fn alpn(&self) -> AlpnNames<'a> {
        self.extensions.alpn().map(AlpnNames::in_body).unwrap_or_default()
    }

    /// The values of supported_versions, GREASE included.
    #[inline]
    #[must_use]
    pub fn supported_versions(&self) -> U16List<'a> {
        self.extensions.supported_versions().map(U16List::in_body_u8).unwrap_or_default()
    }

    /// The values of signature_algorithms (0x000d only), GREASE included.
    #[inline]
    #[must_use]
    pub fn signature_algorithms(&self) -> U16List<'a> {
        self.extensions.signature_algorithms().map(U16List::in_body_u16).unwrap_or_default()
    }

    /// The values of supported_groups, GREASE included.
    #[must_use]
    pub fn supported_groups(&self) -> U16List<'a> {
        self.extensions.find(extension_type::SUPPORTED_GROUPS).map(U16List::in_body_u16).unwrap_or_default()
    }

    /// The values of ec_point_formats, one byte each; empty if the body is not exactly one list.
    #[must_use]
    pub fn ec_point_formats(&self) -> &'a [u8] {
        let list = self.extensions.find(extension_type::EC_POINT_FORMATS).and_then(|body| {
            let mut body = Cursor::new(body);
            let mut list = body.region_u8().ok()?;
            body.finish().ok()?;
            Some(list.rest())
        });
        list.unwrap_or_default()
    }

    /// Whether this may be the outer hello of Encrypted Client Hello. Many clients send a GREASE extension (RFC 9849,
    /// section 6.2), which cannot be distinguished on the wire.
    #[must_use]
    pub fn has_encrypted_client_hello(&self) -> bool {
        self.extensions.kinds().any(|kind| kind == extension_type::ENCRYPTED_CLIENT_HELLO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::tls::builder::HelloBuilder;

    fn tls(body: &[u8]) -> Result<ClientHello<'_>, WireError> {
        ClientHello::parse(body, Carrier::Tcp)
    }

    #[test]
    fn all_fields_are_in_wire_order() {
        let body = HelloBuilder::new(0x0303)
            .suites(&[0x0a0a, 0x1302, 0x1301, 0x1302])
            .sni("example.org")
            .extension(0x1a1a, &[])
            .extension(0x0017, &[])
            .alpn(&[b"h2", b"http/1.1"])
            .extension(0x0017, &[1])
            .versions(&[0x2a2a, 0x0303, 0x0304])
            .algorithms(&[0x0403, 0x3a3a, 0x0804])
            .extension(0xfe0d, &[0])
            .build();
        let hello = tls(&body).unwrap();
        assert_eq!(hello.cipher_suites.iter().collect::<Vec<_>>(), [0x0a0a, 0x1302, 0x1301, 0x1302]);
        let kinds: Vec<u16> = hello.extensions.iter().map(|extension| extension.kind).collect();
        assert_eq!(kinds, [0x0000, 0x1a1a, 0x0017, 0x0010, 0x0017, 0x002b, 0x000d, 0xfe0d]);
        assert_eq!(hello.sni(), Some("example.org"));
        assert_eq!(hello.alpn().collect::<Vec<_>>(), [b"h2".as_slice(), b"http/1.1"]);
        assert_eq!(hello.signature_algorithms().iter().collect::<Vec<_>>(), [0x0403, 0x3a3a, 0x0804]);
        assert_eq!(hello.version(), 0x0304);
        assert!(hello.has_encrypted_client_hello());
    }

    #[test]
    fn a_hello_without_extensions_is_complete() {
        let body = HelloBuilder::new(0x0301).suites(&[0x0005]).without_extensions().build();
        let hello = tls(&body).unwrap();
        assert_eq!(hello.extensions.iter().count(), 0);
        assert_eq!(hello.version(), 0x0301);
        assert_eq!(hello.sni(), None);
    }

    #[test]
    fn a_dtls_cookie_is_not_taken_for_suites() {
        let body = HelloBuilder::new(0xfefd).cookie(&[9; 20]).suites(&[0xc02b]).build();
        let hello = ClientHello::parse(&body, Carrier::Dtls).unwrap();
        assert_eq!(hello.cookie, [9; 20]);
        assert_eq!(hello.cipher_suites.iter().collect::<Vec<_>>(), [0xc02b]);
    }

    #[test]
    fn a_malformed_extension_body_affects_no_other_extension() {
        let body = HelloBuilder::new(0x0303)
            .suites(&[0xc02b])
            .extension(0x0000, &[0, 9, 0])
            .extension(0x0010, &[0, 3, 2, b'h'])
            .extension(0x002b, &[3, 3, 4])
            .extension(0x000d, &[0, 3, 4, 3, 8])
            .build();
        let hello = tls(&body).unwrap();
        assert_eq!(hello.extensions.iter().count(), 4);
        assert!(hello.has_server_name());
        assert_eq!(hello.sni(), None);
        assert_eq!(hello.alpn().next(), None);
        assert_eq!(hello.version(), 0x0303);
        assert!(hello.signature_algorithms().is_empty());
    }

    #[test]
    fn the_start_of_a_hello_yields_its_complete_extensions() {
        let body =
            HelloBuilder::new(0x0303).suites(&[0x1301]).sni("example.org").versions(&[0x0304]).alpn(&[b"h3"]).build();
        // 43 bytes precede the extensions with their length, which take 20, 7 and 9 bytes.
        let lists = 2 + 32 + 1 + 2 + 2 + 2 + 2;
        assert_eq!(body.len(), lists + 20 + 7 + 9);
        for length in 0..=body.len() {
            let start = ClientHello::parse_start(&body[..length], Carrier::Tcp);
            assert_eq!(start.is_some(), length >= lists - 2, "{length}");
            let Some(start) = start else { continue };
            assert_eq!(start.sni(), (length >= lists + 20).then_some("example.org"), "{length}");
            assert_eq!(start.version(), if length >= lists + 27 { 0x0304 } else { 0x0303 }, "{length}");
            assert_eq!(start.alpn().next(), (length >= lists + 36).then_some(&b"h3"[..]), "{length}");
        }
    }

    #[test]
    fn a_host_name_with_control_characters_is_not_returned() {
        for name in ["", "a\nb", "a b", "\u{1b}[2J", "ex\u{e4}mple.org"] {
            let body = HelloBuilder::new(0x0303).sni(name).build();
            assert_eq!(tls(&body).unwrap().sni(), None, "{name:?}");
        }
    }

    #[test]
    fn a_truncated_list_is_rejected_with_its_reason() {
        let body = HelloBuilder::new(0x0303).suites(&[0xc02b, 0xc02f]).sni("example.org").build();
        assert!(tls(&body).is_ok());
        let mut with_tail = body.clone();
        with_tail.push(0);
        assert_eq!(tls(&with_tail).unwrap_err(), WireError::TrailingBytes);
        // Without its last byte the hello ends before its extension block.
        assert_eq!(tls(body.split_last().unwrap().1).unwrap_err(), WireError::BadLength);
        // One extension with a length that exceeds the block.
        let over = HelloBuilder::new(0x0303).suites(&[0xc02b]).raw_extensions(&[0, 23, 0, 9, 1]).build();
        assert_eq!(tls(&over).unwrap_err(), WireError::BadLength);
        let odd = HelloBuilder::new(0x0303).raw_suites(&[0xc0, 0x2b, 0xc0]).build();
        assert_eq!(tls(&odd).unwrap_err(), WireError::OddList);
        assert_eq!(tls(&body[..20]).unwrap_err(), WireError::Truncated);
    }

    proptest! {
        #[test]
        fn no_prefix_of_a_hello_passes_for_a_hello(
            suites in prop::collection::vec(any::<u16>(), 0..20),
            kinds in prop::collection::vec(any::<u16>(), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut builder = HelloBuilder::new(0x0303).suites(&suites);
            for kind in kinds {
                builder = builder.extension(kind, &[0; 3]);
            }
            let body = builder.build();
            let at = cut.index(body.len());
            // The only complete shorter message is the one without an extension block.
            let bare = 2 + 32 + 1 + 2 + 2 * suites.len() + 2;
            prop_assert_eq!(tls(body.get(..at).unwrap()).is_ok(), at == bare);
        }

        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..600), dtls: bool) {
            let carrier = if dtls { Carrier::Dtls } else { Carrier::Tcp };
            if let Ok(hello) = ClientHello::parse(&body, carrier) {
                read_everything(&hello);
            }
        }

        #[test]
        fn arbitrary_extension_bytes_never_panic(
            block in prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 4, 13, 16, 43, 255]), 0..80),
            kind in prop::sample::select(vec![0x0000, 0x000d, 0x0010, 0x002b]),
        ) {
            let body = HelloBuilder::new(0x0303).extension(kind, &block).build();
            read_everything(&tls(&body).unwrap());
            let body = HelloBuilder::new(0x0303).raw_extensions(&block).build();
            if let Ok(hello) = tls(&body) {
                read_everything(&hello);
            }
        }
    }

    fn read_everything(hello: &ClientHello<'_>) {
        let _ = (hello.sni(), hello.version(), hello.alpn().count());
        let _ = (hello.extensions.iter().count(), hello.signature_algorithms().iter().count());
    }
}
