//! Filter expressions over connections, as `top`, `attach` and the views of the attach socket take them.
//!
//! `app:curl and dport:443 and not new`, see docs/attach.md. A term names a field of the field table, or has a shorter
//! name. Matching allocates nothing.

mod parse;
mod term;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use self::parse::Parser;
use self::term::Term;
use crate::model::field::FieldSource;

/// An expression that selects connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayFilter {
    node: Node,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Term(Term),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayFilterError {
    position: usize,
    message: String,
}

impl DisplayFilter {
    /// Parses an expression; an empty one selects everything.
    ///
    /// # Errors
    /// See [`DisplayFilterError`].
    pub fn parse(text: &str) -> Result<Self, DisplayFilterError> {
        Ok(Self { node: Parser::new(text).whole()? })
    }

    /// Whether it selects a connection.
    pub fn matches(&self, connection: &impl FieldSource) -> bool {
        self.node.matches(connection)
    }
}

impl FromStr for DisplayFilter {
    type Err = DisplayFilterError;

    fn from_str(text: &str) -> Result<Self, DisplayFilterError> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for DisplayFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl DisplayFilterError {
    fn new(position: usize, message: impl Into<String>) -> Self {
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

impl Node {
    fn matches(&self, connection: &impl FieldSource) -> bool {
        match self {
            Self::Term(term) => term.matches(connection),
            Self::Not(node) => !node.matches(connection),
            Self::All(nodes) => nodes.iter().all(|node| node.matches(connection)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(connection)),
        }
    }
}
