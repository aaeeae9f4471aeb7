//! The extension block of a hello (RFC 8446, section 4.2), in wire order, with duplicates, GREASE
//! and unknown types.

use crate::wire::{Cursor, WireError};

/// The extension types that are interpreted.
pub mod extension_type {
    /// server_name (RFC 6066, section 3).
    pub const SERVER_NAME: u16 = 0x0000;
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

/// The types of the bodies that [`TlsExtensions`] indexes.
#[derive(Clone, Copy, Debug)]
pub(super) enum IndexedExtension {
    ServerName,
    SignatureAlgorithms,
    Alpn,
    SupportedVersions,
    /// All others: an entry that is written and never read, so that the iteration has no branch by type.
    Other,
}

impl IndexedExtension {
    const COUNT: usize = Self::Other as usize + 1;

    /// By type; the last entry is for all higher types.
    #[expect(clippy::indexing_slicing, reason = "done by the compiler, which refuses a place outside")]
    const BY_KIND: [Self; extension_type::SUPPORTED_VERSIONS as usize + 2] = {
        let mut table = [Self::Other; extension_type::SUPPORTED_VERSIONS as usize + 2];
        table[extension_type::SERVER_NAME as usize] = Self::ServerName;
        table[extension_type::SIGNATURE_ALGORITHMS as usize] = Self::SignatureAlgorithms;
        table[extension_type::ALPN as usize] = Self::Alpn;
        table[extension_type::SUPPORTED_VERSIONS as usize] = Self::SupportedVersions;
        table
    };

    #[inline]
    fn of(kind: u16) -> Self {
        let place = usize::from(kind).min(Self::BY_KIND.len() - 1);
        Self::BY_KIND.get(place).copied().unwrap_or(Self::Other)
    }
}

/// Number of types that are stored by the validation. Common hellos have at most 20.
const NOTED: usize = 32;

/// The extension block: a list with valid lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsExtensions<'a> {
    list: Cursor<'a>,
    /// The list after its first [`NOTED`] extensions.
    beyond: Cursor<'a>,
    noted: usize,
    kinds: [u16; NOTED],
    bodies: Bodies<'a>,
}

impl<'a> TlsExtensions<'a> {
    /// Reads the block that ends a hello.
    ///
    /// No bytes are a valid block (SSL 3.0, TLS 1.0). Otherwise the block must fill the region: a truncated block would
    /// have the fingerprint of another client.
    ///
    /// # Errors
    /// An extension or the block exceeds its region, or bytes follow the block.
    #[inline]
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

    #[inline]
    fn in_list(list: Cursor<'a>) -> Result<Self, WireError> {
        let mut cursor = list;
        let mut kinds = [0; NOTED];
        let mut noted = 0;
        let mut bodies = Bodies::default();
        for place in &mut kinds {
            if cursor.is_empty() {
                break;
            }
            let extension = next(&mut cursor)?;
            bodies.note(extension);
            *place = extension.kind;
            noted += 1;
        }
        let beyond = cursor;
        while !cursor.is_empty() {
            bodies.note(next(&mut cursor)?);
        }
        Ok(Self { list, beyond, noted, kinds, bodies })
    }

    /// The extensions in wire order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = TlsExtension<'a>> + use<'a> {
        walk(self.list)
    }

    /// The types in wire order.
    #[inline]
    pub fn kinds(&self) -> impl Iterator<Item = u16> {
        let beyond = walk(self.beyond).map(|extension| extension.kind);
        self.kinds.iter().take(self.noted).copied().chain(beyond)
    }

    /// The body of the first extension of this type.
    #[inline]
    pub(super) fn body(&self, known: IndexedExtension) -> Option<&'a [u8]> {
        self.bodies.places.get(known as usize).copied().flatten()
    }
}

/// The first body of each indexed type; RFC 8446, section 4.2 allows only one.
#[derive(Clone, Copy, Debug, Default)]
struct Bodies<'a> {
    places: [Option<&'a [u8]>; IndexedExtension::COUNT],
    /// One bit per used entry.
    taken: u32,
}

impl<'a> Bodies<'a> {
    #[inline]
    fn note(&mut self, extension: TlsExtension<'a>) {
        let known = IndexedExtension::of(extension.kind) as usize;
        let first = self.taken & 1 << known == 0;
        self.taken |= 1 << known;
        if let Some(place) = self.places.get_mut(if first { known } else { IndexedExtension::Other as usize }) {
            *place = Some(extension.body);
        }
    }
}

/// The extensions of a validated list: an error is its end.
#[inline]
fn walk<'a>(mut list: Cursor<'a>) -> impl Iterator<Item = TlsExtension<'a>> + use<'a> {
    core::iter::from_fn(move || next(&mut list).ok())
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
