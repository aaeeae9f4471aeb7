//! The extension block of a hello (RFC 8446, section 4.2), kept as it came: wire order, duplicates,
//! GREASE and unknown types included.

use crate::wire::{Cursor, WireError};

/// The extension types this sensor looks into.
pub mod extension_type {
    /// server_name (RFC 6066, section 3).
    pub const SERVER_NAME: u16 = 0x0000;
    /// signature_algorithms (RFC 8446, section 4.2.3); not to be mixed up with 0x0032 and 0x0022.
    pub const SIGNATURE_ALGORITHMS: u16 = 0x000d;
    /// application_layer_protocol_negotiation (RFC 7301).
    pub const ALPN: u16 = 0x0010;
    /// supported_versions (RFC 8446, section 4.2.1).
    pub const SUPPORTED_VERSIONS: u16 = 0x002b;
    /// encrypted_client_hello (RFC 9849).
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// One extension. Its body is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The type's code point.
    pub kind: u16,
    /// The body, as long as its length field says.
    pub body: &'a [u8],
}

/// The extension block: a list whose every length has been checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    list: Cursor<'a>,
}

impl<'a> Extensions<'a> {
    /// Reads the block that ends a hello, showing each extension to `visit` on the way.
    ///
    /// Nothing at all is a legal block (SSL 3.0, TLS 1.0). Otherwise it must fill the region: a block
    /// cut short must not pass for a shorter one, as its fingerprint would be another client's.
    ///
    /// # Errors
    /// Any extension or the block runs over its region, or bytes follow the block.
    #[inline]
    pub(super) fn read(mut region: Cursor<'a>, mut visit: impl FnMut(Extension<'a>)) -> Result<Self, WireError> {
        if region.is_empty() {
            return Ok(Self::default());
        }
        let list = region.region_u16()?;
        region.finish()?;
        let mut cursor = list;
        while !cursor.is_empty() {
            visit(Self::next(&mut cursor)?);
        }
        Ok(Self { list })
    }

    /// The extensions in wire order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let mut cursor = self.list;
        // `read` has walked the list to its end, so the first error is that end.
        core::iter::from_fn(move || Self::next(&mut cursor).ok())
    }

    #[inline]
    fn next(cursor: &mut Cursor<'a>) -> Result<Extension<'a>, WireError> {
        let kind = cursor.u16()?;
        let body = cursor.region_u16()?.rest();
        Ok(Extension { kind, body })
    }
}

/// A list of 16-bit values in wire order: cipher suites, signature algorithms, versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct U16List<'a> {
    pairs: &'a [[u8; 2]],
}

impl<'a> U16List<'a> {
    /// A list over the whole of `bytes`.
    ///
    /// # Errors
    /// [`WireError::OddList`] when half a value is left over.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.as_chunks() {
            (pairs, []) => Ok(Self { pairs }),
            _ => Err(WireError::OddList),
        }
    }

    /// An extension body that is nothing but a list behind a two-byte length; empty if it is not that.
    pub(super) fn in_body_u16(body: &'a [u8]) -> Self {
        Self::whole(Cursor::new(body), Cursor::region_u16).unwrap_or_default()
    }

    /// An extension body that is nothing but a list behind a one-byte length; empty if it is not that.
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

    /// The values, GREASE included.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> + use<'a> {
        self.pairs.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// How many values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The protocol names of an ALPN extension, in wire order, empty names included (RFC 7301, section 3.1).
///
/// Ends at the first name that runs over the list; a body that is not one list gives no name.
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
