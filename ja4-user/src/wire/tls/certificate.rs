//! The Certificate message of TLS and DTLS up to 1.2 (RFC 5246, section 7.4.2). That of 1.3 has another
//! layout, and is encrypted.

use crate::wire::{Cursor, WireError};

/// Certificates read of one message. A chain has two to five; OpenSSL follows none longer than 100, but
/// the [longest message](crate::wire::tls::MAX_HANDSHAKE_MESSAGE) has room for thousands of tiny ones.
pub const MAX_CERTIFICATES: usize = 32;

/// The certificates of one message, the sender's own first. The first error is the last item; what came
/// before it is well delimited.
#[derive(Clone, Debug)]
pub struct CertificateList<'a> {
    rest: Cursor<'a>,
    left: usize,
}

impl<'a> CertificateList<'a> {
    /// Reads the body of a certificate message. The list may be empty: a client without a certificate
    /// says so.
    ///
    /// # Errors
    /// The list is not as long as the body.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let rest = cursor.region_u24()?;
        cursor.finish()?;
        Ok(Self { rest, left: MAX_CERTIFICATES })
    }

    fn read(&mut self) -> Result<&'a [u8], WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::TooMany)?;
        let certificate = self.rest.region_u24()?.rest();
        if certificate.is_empty() { Err(WireError::BadLength) } else { Ok(certificate) }
    }
}

impl<'a> Iterator for CertificateList<'a> {
    /// One certificate in DER, not looked into; or what is wrong with the list:
    /// [`WireError::TooMany`] at the first one beyond [`MAX_CERTIFICATES`].
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
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use ::tests::certificate::message;

    use super::*;

    fn read(body: &[u8]) -> Result<Vec<Result<&[u8], WireError>>, WireError> {
        CertificateList::parse(body).map(Iterator::collect)
    }

    #[test]
    fn certificates_come_in_the_order_of_the_message() {
        let body = message(&[b"leaf", b"ca"]);
        assert_eq!(body, b"\0\0\x0c\0\0\x04leaf\0\0\x02ca");
        assert_eq!(read(&body).unwrap(), [Ok(&b"leaf"[..]), Ok(b"ca")]);
        assert_eq!(read(&message(&[])).unwrap(), []);
    }

    #[test]
    fn a_bad_entry_does_not_lose_those_before_it() {
        let body = b"\0\0\x09\0\0\x02ca\0\0\x05x";
        assert_eq!(read(body).unwrap(), [Ok(&b"ca"[..]), Err(WireError::BadLength)]);
        assert_eq!(read(&message(&[b"a", b"", b"c"])).unwrap(), [Ok(&b"a"[..]), Err(WireError::BadLength)]);
    }

    #[test]
    fn the_list_is_the_whole_body() {
        assert_eq!(read(b"\0\0\x01"), Err(WireError::BadLength));
        assert_eq!(read(b"\0\0\0x"), Err(WireError::TrailingBytes));
        assert_eq!(read(b"\0\0"), Err(WireError::Truncated));
    }

    #[test]
    fn there_is_an_end_to_a_chain() {
        let full = vec![&b"x"[..]; MAX_CERTIFICATES];
        assert!(read(&message(&full)).unwrap().iter().all(Result::is_ok));
        let beyond = message(&[&b"x"[..]; MAX_CERTIFICATES + 100]);
        let found = read(&beyond).unwrap();
        assert_eq!((found.len(), found.last()), (MAX_CERTIFICATES + 1, Some(&Err(WireError::TooMany))));
    }
}
