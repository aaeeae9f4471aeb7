//! Texts from the wire as attributes.

use crate::model::MAX_TEXT;

/// Bytes from the wire as a text of at most [`MAX_TEXT`] bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    truncated(String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes)).into_owned())
}

/// A text, truncated to [`MAX_TEXT`] bytes.
pub(crate) fn truncated(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.shrink_to_fit();
    text
}
