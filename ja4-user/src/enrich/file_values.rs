//! Types of keys that label files and known-bad lists share.

use serde::{Deserialize, Deserializer, de};

/// Longest text of one key, bytes: a name, a note.
const MAX_TEXT: usize = 512;

/// A text that is shown in terminals and logs: not empty, bounded, and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlainText(pub(super) String);

impl PlainText {
    /// Returns why a text is not plain.
    pub(super) fn error(text: &str) -> Option<&'static str> {
        if text.trim().is_empty() {
            Some("is empty")
        } else if text.len() > MAX_TEXT {
            Some("is longer than 512 bytes")
        } else if text.chars().any(is_control) {
            Some("contains control characters")
        } else {
            None
        }
    }
}

impl<'de> Deserialize<'de> for PlainText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match Self::error(&text) {
            Some(error) => Err(de::Error::custom(error)),
            None => Ok(Self(text)),
        }
    }
}

/// Control characters, and characters that change the direction of text.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}')
}

/// A confidence in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confidence(pub(super) u8);

impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(from)?;
        match u8::try_from(number).ok().filter(|confidence| *confidence <= 100) {
            Some(confidence) => Ok(Self(confidence)),
            None => {
                let expected = &"an integer from 0 to 100";
                Err(de::Error::invalid_value(de::Unexpected::Signed(number), expected))
            }
        }
    }
}
