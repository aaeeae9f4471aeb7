//! Errors in filter expressions.

/// Why a filter expression is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .character.map_or_else(String::new, |character| format!("character {character}: ")))]
pub struct ExpressionError {
    /// Position of the error, from 1; `None`: the whole expression.
    character: Option<usize>,
    message: String,
}

impl ExpressionError {
    pub(super) fn at(character: usize, message: impl Into<String>) -> Self {
        Self { character: Some(character), message: message.into() }
    }

    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { character: None, message: message.into() }
    }
}
