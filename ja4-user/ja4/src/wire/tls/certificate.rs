//! The Certificate message of TLS and DTLS up to 1.2 (RFC 5246, section 7.4.2). That of 1.3 has another
//! layout, and is encrypted.

use crate::wire::{Cursor, WireError};

/// Certificates read of one message. A chain has two to five, and OpenSSL follows none of more than 100 behind
/// the first; but the [longest message](crate::wire::tls::MAX_HANDSHAKE_MESSAGE) has room for thousands of tiny
/// ones.
pub const MAX_CERTIFICATES: usize = 101;

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

    /// Reads the start of a body whose rest does not come: those certificates that are whole.
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
    fn of_the_start_of_a_message_the_whole_certificates() {
        let body = message(&[b"leaf", b"ca", b"root"]);
        for (length, whole) in [(0, 0), (2, 0), (3, 0), (5, 0), (9, 0), (10, 1), (12, 1), (15, 2), (21, 2), (22, 3)] {
            let start = body.get(..length).unwrap();
            let found: Vec<_> = CertificateList::parse_start(start).map(Result::unwrap).collect();
            assert_eq!(found, [&b"leaf"[..], b"ca", b"root"].get(..whole).unwrap(), "{length} bytes");
        }
        // What lies behind the list is not of it.
        assert_eq!(CertificateList::parse_start(b"\0\0\x04\0\0\x01x\0\0\x01y").count(), 1);
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
