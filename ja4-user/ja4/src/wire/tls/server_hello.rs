//! ServerHello (RFC 8446, section 4.1.3).

use crate::wire::tls::extension::{AlpnNames, TlsExtensions, extension_type};
use crate::wire::tls::hello::{Carrier, HelloStart, is_grease};
use crate::wire::{Cursor, WireError};

/// The random that marks a HelloRetryRequest: SHA-256 of that name (RFC 8446, section 4.1.3).
const HELLO_RETRY_REQUEST: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A ServerHello, or a HelloRetryRequest, which has the same layout.
///
/// Validated as [`ClientHello`](crate::wire::tls::ClientHello). TLS and DTLS share the layout.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// The carrier.
    pub carrier: Carrier,
    /// legacy_version: the selected version, unless supported_versions is present.
    pub legacy_version: u16,
    /// 32 bytes.
    pub random: &'a [u8; 32],
    /// At most 32 bytes.
    pub session_id: &'a [u8],
    /// The selected suite.
    pub cipher_suite: u16,
    /// The extension block; empty if absent.
    pub extensions: TlsExtensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Parses the body of a server_hello message.
    ///
    /// # Errors
    /// A field or the extension block does not fit the body, or bytes follow it.
    pub fn parse(body: &'a [u8], carrier: Carrier) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let HelloStart { legacy_version, random, session_id } = HelloStart::read(&mut cursor)?;
        let cipher_suite = cursor.u16()?;
        let _compression_method = cursor.u8()?;
        let extensions = TlsExtensions::read(cursor)?;
        Ok(Self { carrier, legacy_version, random, session_id, cipher_suite, extensions })
    }

    /// Whether the server requests another ClientHello.
    #[must_use]
    pub fn is_hello_retry_request(&self) -> bool {
        *self.random == HELLO_RETRY_REQUEST
    }

    /// The selected version: the value of supported_versions, else legacy_version.
    #[must_use]
    pub fn version(&self) -> u16 {
        let chosen = self.extensions.supported_versions().and_then(|body| body.try_into().ok()).map(u16::from_be_bytes);
        chosen.filter(|&version| !is_grease(version)).unwrap_or(self.legacy_version)
    }

    /// The selected named group: the start of key_share (RFC 8446, section 4.2.8), also in a HelloRetryRequest. Absent
    /// below TLS 1.3.
    #[must_use]
    pub fn group(&self) -> Option<u16> {
        Cursor::new(self.extensions.find(extension_type::KEY_SHARE)?).u16().ok()
    }

    /// The selected protocol: at most one name. TLS 1.3 sends it encrypted, in another message.
    #[must_use]
    pub fn alpn(&self) -> AlpnNames<'a> {
        self.extensions.alpn().map(AlpnNames::in_body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::wire::tls::builder::HelloBuilder;

    #[test]
    fn version_suite_and_protocol_of_tls_1_2_are_parsed() {
        let body = HelloBuilder::new(0x0303)
            .session_id(&[7; 32])
            .suites(&[0xc02f])
            .extension(0xff01, &[0])
            .alpn(&[b"h2"])
            .build_server();
        let hello = ServerHello::parse(&body, Carrier::Tcp).unwrap();
        assert_eq!((hello.version(), hello.cipher_suite), (0x0303, 0xc02f));
        assert_eq!(hello.alpn().next(), Some(b"h2".as_slice()));
        assert!(!hello.is_hello_retry_request());
    }

    #[test]
    fn a_hello_retry_request_is_recognized_by_its_random() {
        let random = Sha256::digest(b"HelloRetryRequest").into();
        let body = HelloBuilder::new(0x0303).random(random).suites(&[0x1301]).extension(0x002b, &[3, 4]).build_server();
        let hello = ServerHello::parse(&body, Carrier::Tcp).unwrap();
        assert!(hello.is_hello_retry_request());
        assert_eq!(hello.version(), 0x0304);
    }

    #[test]
    fn the_group_is_the_start_of_the_key_share() {
        let group = |body: &[u8]| {
            let body = HelloBuilder::new(0x0303).suites(&[0x1301]).extension(0x0033, body).build_server();
            ServerHello::parse(&body, Carrier::Tcp).unwrap().group()
        };
        assert_eq!(group(&[0x11, 0xec, 0, 2, 7, 7]), Some(0x11ec));
        assert_eq!(group(&[0, 29]), Some(29), "a HelloRetryRequest");
        assert_eq!(group(&[0]), None);
        let body = HelloBuilder::new(0x0303).suites(&[0xc02f]).build_server();
        assert_eq!(ServerHello::parse(&body, Carrier::Tcp).unwrap().group(), None);
    }

    #[test]
    fn a_hello_of_ssl_3_has_no_extensions() {
        let body = HelloBuilder::new(0x0300).suites(&[0x0005]).without_extensions().build_server();
        let hello = ServerHello::parse(&body, Carrier::Tcp).unwrap();
        assert_eq!((hello.version(), hello.extensions.iter().count()), (0x0300, 0));
        assert_eq!(ServerHello::parse(&body[..body.len() - 1], Carrier::Tcp).unwrap_err(), WireError::Truncated);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(hello) = ServerHello::parse(&body, Carrier::Tcp) {
                let _ = (hello.version(), hello.alpn().count(), hello.extensions.iter().count());
            }
        }
    }
}
