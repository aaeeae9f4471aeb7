//! The filter expression of the operator: a subset of pcap-filter(7), described in docs/filter.md.

mod cursor;
mod error;
mod node;
mod parse;
mod primitive;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use ja4_common::capture_filter::{CaptureFilter, MAX_TERMS};
use serde::{Deserialize, Deserializer, de};

pub use self::error::ExpressionError;
use self::parse::Parser;
use crate::document::documented_type;

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterExpression {
    text: String,
    filter: CaptureFilter,
}

impl FilterExpression {
    /// The expression for the filter.
    #[must_use]
    pub const fn compiled(&self) -> CaptureFilter {
        self.filter
    }
}

impl FromStr for FilterExpression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let (node, terms) = Parser::new(text)?.whole()?;
        let filter = CaptureFilter::new(&terms, |matching| node.accepts(matching))
            .ok_or_else(|| ExpressionError::whole(format!("has {} terms; name at most {MAX_TERMS}", terms.len())))?;
        Ok(Self { text: text.to_owned(), filter })
    }
}

impl fmt::Display for FilterExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for FilterExpression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

documented_type! {
    FilterExpression: "filter expression", |value| Some(format!("{:?}", value.text));
}
