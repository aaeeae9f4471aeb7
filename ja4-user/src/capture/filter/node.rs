//! A parsed filter expression.

/// A parsed expression.
pub(super) enum Node {
    /// The term with this index.
    Term(usize),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Node {
    /// Whether the expression is true if exactly these terms match, a bit for each.
    pub(super) fn accepts(&self, matching: u32) -> bool {
        match self {
            Self::Term(index) => matching >> index & 1 != 0,
            Self::Not(inner) => !inner.accepts(matching),
            Self::And(left, right) => left.accepts(matching) && right.accepts(matching),
            Self::Or(left, right) => left.accepts(matching) || right.accepts(matching),
        }
    }
}
