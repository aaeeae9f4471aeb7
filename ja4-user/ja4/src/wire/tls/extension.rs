//! The extension block of a hello (RFC 8446, section 4.2), in wire order, with duplicates, GREASE
//! and unknown types.

use crate::wire::tls::extension_set::ExtensionSet;
use crate::wire::{Cursor, WireError};

/// The extension types that are interpreted.
pub mod extension_type {
    /// server_name (RFC 6066, section 3).
    pub const SERVER_NAME: u16 = 0x0000;
    /// supported_groups (RFC 8446, section 4.2.7).
    pub const SUPPORTED_GROUPS: u16 = 0x000a;
    /// ec_point_formats (RFC 8422, section 5.1.2).
    pub const EC_POINT_FORMATS: u16 = 0x000b;
    /// signature_algorithms (RFC 8446, section 4.2.3); neither 0x0032 nor 0x0022.
    pub const SIGNATURE_ALGORITHMS: u16 = 0x000d;
    /// application_layer_protocol_negotiation (RFC 7301).
    pub const ALPN: u16 = 0x0010;
    /// supported_versions (RFC 8446, section 4.2.1).
    pub const SUPPORTED_VERSIONS: u16 = 0x002b;
    /// key_share (RFC 8446, section 4.2.8).
    pub const KEY_SHARE: u16 = 0x0033;
    /// encrypted_client_hello (RFC 9849).
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// One extension. Its body is not validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsExtension<'a> {
    /// The type's code point.
    pub kind: u16,
    /// The body.
    pub body: &'a [u8],
}

/// The extension block: a list with valid lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsExtensions<'a> {
    list: &'a [u8],
    set: ExtensionSet,
    server_name: BodySpan,
    signature_algorithms: BodySpan,
    alpn: BodySpan,
    supported_versions: BodySpan,
}

/// Where the first body of a type is in the list; RFC 8446, section 4.2 allows only one of each.
#[derive(Clone, Copy, Debug, Default)]
struct BodySpan {
    /// Never 0 for a body, since four bytes precede it.
    start: u16,
    len: u16,
}

impl BodySpan {
    #[inline]
    fn of(self, list: &[u8]) -> Option<&[u8]> {
        if self.start == 0 {
            return None;
        }
        list.get(usize::from(self.start)..)?.get(..usize::from(self.len))
    }
}

impl<'a> TlsExtensions<'a> {
    /// Reads the block that ends a hello.
    ///
    /// No bytes are a valid block (SSL 3.0, TLS 1.0). Otherwise the block must fill the region: a truncated block would
    /// have the fingerprint of another client.
    ///
    /// # Errors
    /// An extension or the block exceeds its region, or bytes follow the block.
    #[inline(always)]
    pub(super) fn read(mut region: Cursor<'a>) -> Result<Self, WireError> {
        let list = if region.is_empty() { region } else { region.region_u16()? };
        region.finish()?;
        Self::in_list(list)
    }

    /// Reads the complete extensions at the start of an incomplete block.
    pub(super) fn read_start(mut region: Cursor<'a>) -> Self {
        let length = usize::from(region.u16().unwrap_or_default());
        let come = region.rest();
        let come = come.get(..length).unwrap_or(come);
        let mut whole = Cursor::new(come);
        loop {
            let mut behind = whole;
            if next(&mut behind).is_err() {
                break;
            }
            whole = behind;
        }
        let list = come.get(..come.len() - whole.remaining()).unwrap_or_default();
        // Each of them was validated by the loop.
        Self::in_list(Cursor::new(list)).unwrap_or_default()
    }

    #[inline(always)]
    fn in_list(cursor: Cursor<'a>) -> Result<Self, WireError> {
        let list = cursor.as_bytes();
        let mut rest = cursor;
        let mut set = ExtensionSet::default();
        let [mut server_name, mut signature_algorithms, mut alpn, mut supported_versions] = [BodySpan::default(); 4];
        while !rest.is_empty() {
            let TlsExtension { kind, body } = next(&mut rest)?;
            // The list has a length of two bytes.
            let span = BodySpan {
                start: list.len().saturating_sub(rest.remaining() + body.len()) as u16,
                len: body.len() as u16,
            };
            let is_first = set.insert(kind);
            let keep = |place: &mut BodySpan, of| *place = if is_first & (kind == of) { span } else { *place };
            keep(&mut server_name, extension_type::SERVER_NAME);
            keep(&mut signature_algorithms, extension_type::SIGNATURE_ALGORITHMS);
            keep(&mut alpn, extension_type::ALPN);
            keep(&mut supported_versions, extension_type::SUPPORTED_VERSIONS);
        }
        Ok(Self { list, set, server_name, signature_algorithms, alpn, supported_versions })
    }

    /// The extensions in wire order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = TlsExtension<'a>> + use<'a> {
        let mut list = Cursor::new(self.list);
        // The list is valid: an error is its end.
        core::iter::from_fn(move || next(&mut list).ok())
    }

    /// The types in wire order.
    #[inline]
    pub fn kinds(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.iter().map(|extension| extension.kind)
    }

    /// The first body of a type that is rarely asked for: the list is searched.
    pub(super) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.kind == kind).map(|extension| extension.body)
    }

    /// The types without their order.
    #[inline]
    pub(crate) const fn set(&self) -> &ExtensionSet {
        &self.set
    }

    /// The first body of server_name.
    #[inline]
    pub(super) fn server_name(&self) -> Option<&'a [u8]> {
        self.server_name.of(self.list)
    }

    /// The first body of signature_algorithms.
    #[inline]
    pub(super) fn signature_algorithms(&self) -> Option<&'a [u8]> {
        self.signature_algorithms.of(self.list)
    }

    /// The first body of ALPN.
    #[inline]
    pub(super) fn alpn(&self) -> Option<&'a [u8]> {
        self.alpn.of(self.list)
    }

    /// The first body of supported_versions.
    #[inline]
    pub(super) fn supported_versions(&self) -> Option<&'a [u8]> {
        self.supported_versions.of(self.list)
    }
}

#[inline]
fn next<'a>(list: &mut Cursor<'a>) -> Result<TlsExtension<'a>, WireError> {
    let &[k1, k2, l1, l2] = list.array()?;
    let body = list.take(usize::from(u16::from_be_bytes([l1, l2]))).map_err(|_| WireError::BadLength)?;
    Ok(TlsExtension { kind: u16::from_be_bytes([k1, k2]), body })
}

/// A list of 16-bit values in wire order: cipher suites, signature algorithms, versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct U16List<'a> {
    pairs: &'a [[u8; 2]],
}

impl<'a> U16List<'a> {
    /// A list of all `bytes`.
    ///
    /// # Errors
    /// [`WireError::OddList`] if the number of bytes is odd.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.as_chunks() {
            (pairs, []) => Ok(Self { pairs }),
            _ => Err(WireError::OddList),
        }
    }

    /// The list in an extension body with a two-byte length; empty if the body is not exactly one list.
    pub(super) fn in_body_u16(body: &'a [u8]) -> Self {
        Self::whole(Cursor::new(body), Cursor::region_u16).unwrap_or_default()
    }

    /// The list in an extension body with a one-byte length; empty if the body is not exactly one list.
    pub(super) fn in_body_u8(body: &'a [u8]) -> Self {
        Self::whole(Cursor::new(body), Cursor::region_u8).unwrap_or_default()
    }

    #[inline]
    fn whole(
        mut body: Cursor<'a>,
        region: impl FnOnce(&mut Cursor<'a>) -> Result<Cursor<'a>, WireError>,
    ) -> Result<Self, WireError> {
        let mut list = region(&mut body)?;
        body.finish()?;
        Self::new(list.rest())
    }

    /// The values as bytes on the wire.
    #[inline]
    pub(crate) const fn pairs(self) -> &'a [[u8; 2]] {
        self.pairs
    }

    /// The values, GREASE included.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> + use<'a> {
        self.pairs.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// The number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether it has no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The protocol names of an ALPN extension, in wire order, empty names included (RFC 7301, section 3.1).
///
/// Ends at the first name that exceeds the list; a body that is not exactly one list yields no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlpnNames<'a> {
    list: Cursor<'a>,
}

impl<'a> AlpnNames<'a> {
    pub(super) fn in_body(body: &'a [u8]) -> Self {
        let mut body = Cursor::new(body);
        match (body.region_u16(), body.finish()) {
            (Ok(list), Ok(())) => Self { list },
            _ => Self::default(),
        }
    }
}

impl<'a> Iterator for AlpnNames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.list.region_u8().ok().map(|mut name| name.rest())
    }
}
