//! The tree of a filter expression.

use super::term::DisplayTerm;
use crate::model::field::FieldSource;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DisplayNode {
    DisplayTerm(DisplayTerm),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl DisplayNode {
    pub(super) fn matches(&self, connection: &impl FieldSource) -> bool {
        match self {
            Self::DisplayTerm(term) => term.matches(connection),
            Self::Not(node) => !node.matches(connection),
            Self::All(nodes) => nodes.iter().all(|node| node.matches(connection)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(connection)),
        }
    }
}
