//! X.509 certificates (RFC 5280, section 4.1): the parts that JA4X and a few attributes need.
//!
//! Signatures are not verified, and of the extensions only subjectAltName is interpreted. Object identifiers are the
//! content bytes of their DER.

mod der;
mod name;
mod text;
mod time;

use std::borrow::Cow;

pub use name::DistinguishedName;
pub use text::MAX_TEXT;

use crate::wire::{Cursor, WireError};
use der::{element, element_if, expect, oid, sequence, tag};

/// subjectAltName, 2.5.29.17 (RFC 5280, section 4.2.1.6).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// A certificate. It borrows from its DER.
///
/// It is well-formed down to its object identifiers: the fields of the certificate, every name down to the type of each
/// attribute, every extension down to its identifier. Values may be malformed; their accessors then return nothing.
#[derive(Clone, Copy, Debug)]
pub struct X509Certificate<'a> {
    /// The issuer.
    pub issuer: DistinguishedName<'a>,
    /// The subject.
    pub subject: DistinguishedName<'a>,
    /// notBefore and notAfter.
    validity: Cursor<'a>,
    /// Content of the list of extensions; empty in version 1.
    extensions: Cursor<'a>,
}

impl<'a> X509Certificate<'a> {
    /// Parses one certificate in DER.
    ///
    /// # Errors
    /// A field has another type or does not fit, or bytes follow the certificate.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut outer = Cursor::new(bytes);
        let mut certificate = sequence(&mut outer)?;
        outer.finish()?;
        let fields = sequence(&mut certificate)?;
        let _signature_algorithm = sequence(&mut certificate)?;
        let _signature = expect(&mut certificate, tag::BIT_STRING)?;
        certificate.finish()?;
        Self::fields(fields)
    }

    /// Parses a TBSCertificate.
    fn fields(mut fields: Cursor<'a>) -> Result<Self, WireError> {
        element_if(&mut fields, tag::VERSION)?;
        let _serial_number = expect(&mut fields, tag::INTEGER)?;
        let _signature_algorithm = sequence(&mut fields)?;
        let issuer = DistinguishedName::read(&mut fields)?;
        let validity = sequence(&mut fields)?;
        let subject = DistinguishedName::read(&mut fields)?;
        let _public_key = sequence(&mut fields)?;
        element_if(&mut fields, tag::ISSUER_UNIQUE_ID)?;
        element_if(&mut fields, tag::SUBJECT_UNIQUE_ID)?;
        let extensions = match element_if(&mut fields, tag::EXTENSIONS)? {
            Some(mut explicit) => {
                let list = sequence(&mut explicit)?;
                explicit.finish()?;
                list
            }
            None => Cursor::default(),
        };
        fields.finish()?;
        let mut rest = extensions;
        while !rest.is_empty() {
            extension(&mut rest)?;
        }
        Ok(Self { issuer, subject, validity, extensions })
    }

    /// The identifier of every extension, in order.
    pub fn extension_oids(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.extensions().map(|(oid, _)| oid)
    }

    /// The subject's common name: the last, most specific one that is text. At most [`MAX_TEXT`] bytes, not escaped.
    #[must_use]
    pub fn subject_cn(&self) -> Option<Cow<'a, str>> {
        self.subject.common_name()
    }

    /// The issuer's common name, as [`subject_cn`](Self::subject_cn).
    #[must_use]
    pub fn issuer_cn(&self) -> Option<Cow<'a, str>> {
        self.issuer.common_name()
    }

    /// Start of the validity, seconds since the Unix epoch; `None` if malformed.
    #[must_use]
    pub fn not_before(&self) -> Option<i64> {
        let mut validity = self.validity;
        time::read(&mut validity)
    }

    /// End of the validity, as [`not_before`](Self::not_before).
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        let mut validity = self.validity;
        element(&mut validity).ok()?;
        time::read(&mut validity)
    }

    /// Number of names in subjectAltName, of any type, up to the first malformed one; 0 without the extension.
    #[must_use]
    pub fn san_count(&self) -> u32 {
        let Some((_, value)) = self.extensions().find(|&(oid, _)| oid == SUBJECT_ALT_NAME) else {
            return 0;
        };
        let mut names = general_names(value).unwrap_or_default();
        let mut count = 0;
        while !names.is_empty() && element(&mut names).is_ok() {
            // An element takes at least two bytes, so that 32 bits suffice for the elements of a message.
            count += 1;
        }
        count
    }

    /// Identifier of every extension, and a reader of the rest.
    fn extensions(&self) -> impl Iterator<Item = (&'a [u8], Cursor<'a>)> + use<'a> {
        let mut rest = self.extensions;
        // The list was validated before: an error is its end.
        core::iter::from_fn(move || extension(&mut rest).ok())
    }
}

/// Splits an extension into its identifier and the rest: criticality, value.
fn extension<'a>(list: &mut Cursor<'a>) -> Result<(&'a [u8], Cursor<'a>), WireError> {
    let mut extension = sequence(list)?;
    Ok((oid(&mut extension)?, extension))
}

/// The names of a subjectAltName extension, after its identifier.
fn general_names(mut extension: Cursor<'_>) -> Result<Cursor<'_>, WireError> {
    element_if(&mut extension, tag::BOOLEAN)?;
    let mut value = expect(&mut extension, tag::OCTET_STRING)?;
    sequence(&mut value)
}

#[cfg(test)]
mod tests;
