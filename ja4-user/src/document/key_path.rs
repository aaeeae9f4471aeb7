//! The name of a key in messages.

use std::fmt;

/// The path from the top of a file, or from a labelled table, to a value: `capture.shards`, `alerts.sink 2: url`,
/// `rule "a": where 1: field`. A linked list on the stack, so that no text is built unless there is an error.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyPath<'p> {
    /// The table that is read; the label is empty at the top of a file.
    Root(&'p str),
    /// A key of a table.
    Key(&'p KeyPath<'p>, &'p str),
    /// An element of an array, from 1.
    Element(&'p KeyPath<'p>, usize),
}

impl fmt::Display for KeyPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(label) => f.write_str(label),
            Self::Key(Self::Root(""), key) => f.write_str(key),
            Self::Key(parent @ (Self::Root(_) | Self::Element(..)), key) => write!(f, "{parent}: {key}"),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Element(parent, number) => write!(f, "{parent} {number}"),
        }
    }
}
