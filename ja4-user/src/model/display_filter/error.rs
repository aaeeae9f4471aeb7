//! Errors of filter expressions.

use std::fmt;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayFilterError {
    position: usize,
    message: String,
}

impl DisplayFilterError {
    pub(super) fn new(position: usize, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }

    /// Number of characters before the part that is wrong.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}

/// `character 5: …`, counted from 1.
impl fmt::Display for DisplayFilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.position + 1, self.message)
    }
}

impl std::error::Error for DisplayFilterError {}
