//! The string types of a name (RFC 5280, section 4.1.2.4, DirectoryString) as text.

use std::borrow::Cow;

use super::der::tag;

/// Longest returned text, bytes; a longer one is truncated between two characters. RFC 5280, appendix A.1 allows a
/// common name of 64 characters, which real names exceed, but not by much.
pub const MAX_TEXT: usize = 1024;

/// Whether [`read`] converts strings with this tag.
pub(super) fn is_string(tag: u8) -> bool {
    matches!(
        tag,
        tag::UTF8_STRING
            | tag::NUMERIC_STRING
            | tag::PRINTABLE_STRING
            | tag::T61_STRING
            | tag::IA5_STRING
            | tag::VISIBLE_STRING
            | tag::UNIVERSAL_STRING
            | tag::BMP_STRING
    )
}

/// The text of a string; `None` if the tag is not a string type. Invalid characters become U+FFFD. T61String is read as
/// Latin-1, as software writes it.
pub(super) fn read(tag: u8, bytes: &[u8]) -> Option<Cow<'_, str>> {
    Some(match tag {
        tag::UTF8_STRING | tag::NUMERIC_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING | tag::VISIBLE_STRING => {
            cut(String::from_utf8_lossy(bytes))
        }
        tag::T61_STRING => collect(bytes.iter().map(|&byte| char::from(byte))),
        tag::BMP_STRING => {
            let (pairs, rest) = bytes.as_chunks();
            let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
            let characters = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
            collect(characters.chain(left_over(rest)))
        }
        tag::UNIVERSAL_STRING => {
            let (fours, rest) = bytes.as_chunks();
            let units = fours.iter().map(|&four| char::from_u32(u32::from_be_bytes(four)));
            collect(units.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).chain(left_over(rest)))
        }
        _ => return None,
    })
}

/// One replacement character for an incomplete character.
fn left_over(rest: &[u8]) -> Option<char> {
    (!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER)
}

/// Collects characters up to [`MAX_TEXT`].
fn collect(characters: impl Iterator<Item = char>) -> Cow<'static, str> {
    let mut text = String::new();
    for character in characters {
        if text.len() + character.len_utf8() > MAX_TEXT {
            break;
        }
        text.push(character);
    }
    Cow::Owned(text)
}

fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    let end = text.floor_char_boundary(MAX_TEXT);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_of_string_is_converted() {
        for (tag, bytes, text) in [
            (tag::UTF8_STRING, "Zürich".as_bytes(), "Zürich"),
            (tag::PRINTABLE_STRING, b"Example CA", "Example CA"),
            (tag::IA5_STRING, b"*.example.org", "*.example.org"),
            (tag::T61_STRING, b"Z\xfcrich", "Zürich"),
            (tag::BMP_STRING, b"\0Z\0\xfc\x20\xac", "Zü€"),
            (tag::BMP_STRING, b"\xd8\x3d\xde\x00", "😀"),
            (tag::UNIVERSAL_STRING, b"\0\0\0A\0\x01\xf6\0", "A😀"),
            (tag::UTF8_STRING, b"a\xffb", "a\u{fffd}b"),
            (tag::PRINTABLE_STRING, b"a\0\n", "a\0\n"),
            (tag::BMP_STRING, b"\xd8\0\0A\0", "\u{fffd}A\u{fffd}"),
            (tag::UNIVERSAL_STRING, b"\0\x11\0\0\0", "\u{fffd}\u{fffd}"),
            (tag::UTF8_STRING, b"", ""),
        ] {
            assert_eq!(read(tag, bytes).unwrap(), text);
        }
        assert_eq!(read(tag::INTEGER, b"1"), None);
    }

    #[test]
    fn a_long_text_is_truncated_between_characters() {
        let long = "aü".repeat(1000);
        let cut = read(tag::UTF8_STRING, long.as_bytes()).unwrap();
        assert_eq!(cut.len(), MAX_TEXT);
        assert!(matches!(cut, Cow::Borrowed(_)) && long.starts_with(&*cut));
        assert_eq!(read(tag::T61_STRING, &[0xfc; 2000]).unwrap(), "ü".repeat(MAX_TEXT / 2));
        assert_eq!(read(tag::UTF8_STRING, &[0xff; 2000]).unwrap().len(), MAX_TEXT - MAX_TEXT % 3);
    }

    proptest! {
        #[test]
        fn any_bytes_give_bounded_text(tag: u8, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let text = read(tag, &bytes);
            prop_assert_eq!(text.is_some(), is_string(tag));
            prop_assert!(text.unwrap_or_default().len() <= MAX_TEXT);
        }
    }
}
