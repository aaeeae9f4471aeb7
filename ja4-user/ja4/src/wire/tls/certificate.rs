//! The Certificate message of TLS and DTLS up to 1.2 (RFC 5246, section 7.4.2). The message of TLS 1.3 has
//! another layout, and is encrypted.

use crate::wire::{Cursor, WireError};

/// Most certificates of one message that are read. A chain has two to five, and OpenSSL verifies at most 100 after the
/// first; but the [longest message](crate::wire::tls::MAX_HANDSHAKE_MESSAGE) may have thousands of tiny ones.
pub const MAX_CERTIFICATES: usize = 101;

/// The certificates of one message, the sender's own first. The first error is the last item.
#[derive(Clone, Debug)]
pub struct CertificateList<'a> {
    rest: Cursor<'a>,
    left: usize,
}

impl<'a> CertificateList<'a> {
    /// Parses the body of a certificate message. The list may be empty, for a client without a certificate.
    ///
    /// # Errors
    /// The length of the list differs from the length of the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let rest = cursor.region_u24()?;
        cursor.finish()?;
        Ok(Self { rest, left: MAX_CERTIFICATES })
    }

    /// Parses the complete certificates at the start of an incomplete body.
    #[must_use]
    pub fn parse_start(start: &'a [u8]) -> Self {
        let mut cursor = Cursor::new(start);
        let length = cursor.u24().unwrap_or_default() as usize;
        let come = cursor.rest();
        let come = come.get(..length).unwrap_or(come);
        let mut behind = Cursor::new(come);
        while behind.region_u24().is_ok() {}
        let whole = come.len() - behind.remaining();
        Self { rest: Cursor::new(come.get(..whole).unwrap_or_default()), left: MAX_CERTIFICATES }
    }

    fn read(&mut self) -> Result<&'a [u8], WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::TooMany)?;
        let certificate = self.rest.region_u24()?.rest();
        if certificate.is_empty() { Err(WireError::BadLength) } else { Ok(certificate) }
    }
}

impl<'a> Iterator for CertificateList<'a> {
    /// One unparsed certificate in DER, or the error of the list:
    /// [`WireError::TooMany`] at the first certificate after [`MAX_CERTIFICATES`].
    type Item = Result<&'a [u8], WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let certificate = self.read();
        if certificate.is_err() {
            self.rest = Cursor::default();
        }
        Some(certificate)
    }
}

#[cfg(test)]
mod tests {
    use ::tests::certificate::message;

    use super::*;

    fn read(body: &[u8]) -> Result<Vec<Result<&[u8], WireError>>, WireError> {
        CertificateList::parse(body).map(Iterator::collect)
    }

    #[test]
    fn certificates_are_in_the_order_of_the_message() {
        let body = message(&[b"leaf", b"ca"]);
        assert_eq!(body, b"\0\0\x0c\0\0\x04leaf\0\0\x02ca");
        assert_eq!(read(&body).unwrap(), [Ok(&b"leaf"[..]), Ok(b"ca")]);
        assert_eq!(read(&message(&[])).unwrap(), []);
    }

    #[test]
    fn certificates_before_a_malformed_one_are_valid() {
        let body = b"\0\0\x09\0\0\x02ca\0\0\x05x";
        assert_eq!(read(body).unwrap(), [Ok(&b"ca"[..]), Err(WireError::BadLength)]);
        assert_eq!(read(&message(&[b"a", b"", b"c"])).unwrap(), [Ok(&b"a"[..]), Err(WireError::BadLength)]);
    }

    #[test]
    fn the_list_is_the_entire_body() {
        assert_eq!(read(b"\0\0\x01"), Err(WireError::BadLength));
        assert_eq!(read(b"\0\0\0x"), Err(WireError::TrailingBytes));
        assert_eq!(read(b"\0\0"), Err(WireError::Truncated));
    }

    #[test]
    fn the_start_of_a_message_yields_its_complete_certificates() {
        let body = message(&[b"leaf", b"ca", b"root"]);
        for (length, whole) in [(0, 0), (2, 0), (3, 0), (5, 0), (9, 0), (10, 1), (12, 1), (15, 2), (21, 2), (22, 3)] {
            let start = body.get(..length).unwrap();
            let found: Vec<_> = CertificateList::parse_start(start).map(Result::unwrap).collect();
            assert_eq!(found, [&b"leaf"[..], b"ca", b"root"].get(..whole).unwrap(), "{length} bytes");
        }
        // Bytes after the list are not part of it.
        assert_eq!(CertificateList::parse_start(b"\0\0\x04\0\0\x01x\0\0\x01y").count(), 1);
    }

    #[test]
    fn the_number_of_certificates_is_limited() {
        let full = vec![&b"x"[..]; MAX_CERTIFICATES];
        assert!(read(&message(&full)).unwrap().iter().all(Result::is_ok));
        let beyond = message(&[&b"x"[..]; MAX_CERTIFICATES + 100]);
        let found = read(&beyond).unwrap();
        assert_eq!((found.len(), found.last()), (MAX_CERTIFICATES + 1, Some(&Err(WireError::TooMany))));
    }
}
