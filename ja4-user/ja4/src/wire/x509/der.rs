//! Elements of DER (X.690, sections 8.1 and 10.1): tag, length, content.

use crate::wire::{Cursor, WireError};

/// The identifier octets of a certificate.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(in super::super) const UTF8_STRING: u8 = 0x0c;
    pub(in super::super) const NUMERIC_STRING: u8 = 0x12;
    pub(in super::super) const PRINTABLE_STRING: u8 = 0x13;
    pub(in super::super) const T61_STRING: u8 = 0x14;
    pub(in super::super) const IA5_STRING: u8 = 0x16;
    pub(in super::super) const UTC_TIME: u8 = 0x17;
    pub(in super::super) const GENERALIZED_TIME: u8 = 0x18;
    pub(in super::super) const VISIBLE_STRING: u8 = 0x1a;
    pub(in super::super) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(in super::super) const BMP_STRING: u8 = 0x1e;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x31;
    /// version `[0]`, explicit
    pub(in super::super) const VERSION: u8 = 0xa0;
    /// issuerUniqueID `[1]`
    pub(in super::super) const ISSUER_UNIQUE_ID: u8 = 0x81;
    /// subjectUniqueID `[2]`
    pub(in super::super) const SUBJECT_UNIQUE_ID: u8 = 0x82;
    /// extensions `[3]`, explicit
    pub(in super::super) const EXTENSIONS: u8 = 0xa3;
}

/// Low five bits of a tag with its number in further bytes. Certificates have no such tags.
const HIGH_TAG_NUMBER: u8 = 0x1f;

/// Top bit of a length that follows in further bytes; the other bits are the number of bytes.
const LONG_LENGTH: u8 = 0x80;

/// Most bytes of a long length: a handshake message is shorter than 2^24 bytes.
const MAX_LENGTH_BYTES: u8 = 4;

/// Reads one element: its tag and its content. A length with more bytes than necessary is accepted, as common stacks
/// do; an indefinite length (BER) is not.
pub(super) fn element<'a>(cursor: &mut Cursor<'a>) -> Result<(u8, Cursor<'a>), WireError> {
    let mut ahead = *cursor;
    let tag = ahead.u8()?;
    if tag & HIGH_TAG_NUMBER == HIGH_TAG_NUMBER {
        return Err(WireError::Unsupported);
    }
    let length = match ahead.u8()? {
        short if short < LONG_LENGTH => u32::from(short),
        LONG_LENGTH => return Err(WireError::Unsupported),
        long => match long - LONG_LENGTH {
            1 => u32::from(ahead.u8()?),
            2 => u32::from(ahead.u16()?),
            3 => ahead.u24()?,
            MAX_LENGTH_BYTES => ahead.u32()?,
            _ => return Err(WireError::TooLong),
        },
    };
    let length = usize::try_from(length).map_err(|_| WireError::TooLong)?;
    let content = ahead.take(length).map_err(|_| WireError::BadLength)?;
    *cursor = ahead;
    Ok((tag, Cursor::new(content)))
}

/// Reads the content of one element, which must have this tag.
pub(super) fn expect<'a>(cursor: &mut Cursor<'a>, tag: u8) -> Result<Cursor<'a>, WireError> {
    let mut ahead = *cursor;
    let (found, content) = element(&mut ahead)?;
    if found != tag {
        return Err(WireError::Magic);
    }
    *cursor = ahead;
    Ok(content)
}

/// Reads the content of the next element if it has this tag.
pub(super) fn element_if<'a>(cursor: &mut Cursor<'a>, tag: u8) -> Result<Option<Cursor<'a>>, WireError> {
    let mut ahead = *cursor;
    match ahead.u8() {
        Ok(found) if found == tag => expect(cursor, tag).map(Some),
        _ => Ok(None),
    }
}

/// Reads a SEQUENCE or SEQUENCE OF.
pub(super) fn sequence<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, WireError> {
    expect(cursor, tag::SEQUENCE)
}

/// Reads an object identifier, which is never empty.
pub(super) fn oid<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let content = expect(cursor, tag::OBJECT_IDENTIFIER)?.rest();
    if content.is_empty() { Err(WireError::Value) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use ::tests::certificate::der;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<(u8, &[u8]), WireError> {
        element(&mut Cursor::new(bytes)).map(|(tag, mut content)| (tag, content.rest()))
    }

    #[test]
    fn lengths_of_every_form() {
        for bytes in
            [&b"\x04\x01x"[..], b"\x04\x81\x01x", b"\x04\x82\0\x01x", b"\x04\x83\0\0\x01x", b"\x04\x84\0\0\0\x01x"]
        {
            assert_eq!(read(bytes), Ok((4, &b"x"[..])));
        }
        assert_eq!(read(b"\x04\x85\0\0\0\0\x01x"), Err(WireError::TooLong));
        assert_eq!(read(b"\x30\x80\0\0"), Err(WireError::Unsupported));
        assert_eq!(read(b"\x04\x84\xff\xff\xff\xff"), Err(WireError::BadLength));
        assert_eq!(read(b"\x04\x02x"), Err(WireError::BadLength));
        assert_eq!(read(b"\x04\x82\0"), Err(WireError::Truncated));
        assert_eq!(read(b"\x1f\x20\0"), Err(WireError::Unsupported));
    }

    #[test]
    fn a_rejected_element_does_not_move_the_reader() {
        let bytes = [2, 1, 7, 5, 0];
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(sequence(&mut cursor), Err(WireError::Magic));
        assert_eq!(element_if(&mut cursor, tag::SEQUENCE), Ok(None));
        assert_eq!(cursor.remaining(), 5);
        assert!(element_if(&mut cursor, tag::INTEGER).unwrap().is_some());
        assert_eq!(cursor.remaining(), 2);
        assert_eq!(oid(&mut Cursor::new(&[6, 0])), Err(WireError::Value));
    }

    proptest! {
        #[test]
        fn encoded_elements_are_parsed(
            tag in (0_u8..=255).prop_filter("one byte", |tag| tag & 0x1f != 0x1f),
            content in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let written = der(tag, &content);
            prop_assert_eq!(read(&written), Ok((tag, content.as_slice())));
        }
    }
}
