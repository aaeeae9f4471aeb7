//! Distinguished names (RFC 5280, section 4.1.2.4).

use std::borrow::Cow;

use super::der::{element, expect, oid, sequence, tag};
use super::text;
use crate::wire::{Cursor, WireError};

/// commonName, 2.5.4.3 (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A name: attributes in the order of their encoding. It may be empty.
#[derive(Clone, Copy, Debug)]
pub struct DistinguishedName<'a> {
    /// A list of RDNs, each a set of attributes; checked down to every attribute's type.
    rdns: Cursor<'a>,
}

impl<'a> DistinguishedName<'a> {
    pub(super) fn read(fields: &mut Cursor<'a>) -> Result<Self, WireError> {
        let name = Self { rdns: sequence(fields)? };
        let mut attributes = name.attributes();
        while attributes.read()?.is_some() {}
        Ok(name)
    }

    /// The type of every attribute: RDN by RDN, and inside one that has several in their order.
    pub fn oids(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes().map(|(oid, _)| oid)
    }

    /// The last common name that is text. At most [`MAX_TEXT`](super::MAX_TEXT) bytes; not escaped.
    #[must_use]
    pub fn common_name(&self) -> Option<Cow<'a, str>> {
        let names = self.attributes().filter(|&(oid, _)| oid == COMMON_NAME);
        names
            .filter_map(|(_, mut value)| element(&mut value).ok())
            .filter(|&(tag, _)| text::is_string(tag))
            .last()
            .and_then(|(tag, mut content)| text::read(tag, content.rest()))
    }

    fn attributes(&self) -> NameAttributes<'a> {
        NameAttributes { rdns: self.rdns, rdn: Cursor::default() }
    }
}

/// A walk over the attributes of a name. The list was read to its end when the [`DistinguishedName`] was made: for
/// the iterator the first error is that end.
struct NameAttributes<'a> {
    rdns: Cursor<'a>,
    /// What is left of the present RDN.
    rdn: Cursor<'a>,
}

impl<'a> NameAttributes<'a> {
    /// The next attribute's type, and a reader over its value.
    fn read(&mut self) -> Result<Option<(&'a [u8], Cursor<'a>)>, WireError> {
        while self.rdn.is_empty() {
            if self.rdns.is_empty() {
                return Ok(None);
            }
            self.rdn = expect(&mut self.rdns, tag::SET)?;
        }
        let mut attribute = sequence(&mut self.rdn)?;
        Ok(Some((oid(&mut attribute)?, attribute)))
    }
}

impl<'a> Iterator for NameAttributes<'a> {
    type Item = (&'a [u8], Cursor<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.read().ok().flatten()
    }
}
