//! Filter expressions, checked while they are typed.

/// Returns what is wrong with an expression.
pub(super) fn error(_text: &str) -> Option<String> {
    None
}
