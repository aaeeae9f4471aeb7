//! Distinguished names (RFC 5280, section 4.1.2.4).

use std::borrow::Cow;

use super::der::{element, expect, oid, sequence, tag};
use super::text;
use crate::wire::{Cursor, WireError};

/// commonName, 2.5.4.3 (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// A name: a possibly empty list of attributes in the order of their encoding.
#[derive(Clone, Copy, Debug)]
pub struct DistinguishedName<'a> {
    /// A list of RDNs, each a set of attributes; validated down to the type of each attribute.
    rdns: Cursor<'a>,
}

impl<'a> DistinguishedName<'a> {
    pub(super) fn read(fields: &mut Cursor<'a>) -> Result<Self, WireError> {
        let name = Self { rdns: sequence(fields)? };
        let mut attributes = name.attributes();
        while attributes.read()?.is_some() {}
        Ok(name)
    }

    /// The type of every attribute, in the order of their encoding.
    pub fn oids(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes().map(|(oid, _)| oid)
    }

    /// The last common name that is text. At most [`MAX_TEXT`](super::MAX_TEXT) bytes, not escaped.
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

/// The attributes of a name. The list was validated when the [`DistinguishedName`] was created: an error is its end.
struct NameAttributes<'a> {
    rdns: Cursor<'a>,
    /// The unread attributes of the current RDN.
    rdn: Cursor<'a>,
}

impl<'a> NameAttributes<'a> {
    /// The next attribute's type, and a reader of its value.
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
