//! Filter expressions over connections, as `top`, `attach` and the views of the attach socket take them.
//!
//! `app:curl and dport:443 and not new`, see docs/attach.md. A term names a field of the field table, or has a shorter
//! name. Matching allocates nothing.

mod error;
mod node;
mod parse;
mod term;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

pub use self::error::DisplayFilterError;
use self::node::DisplayNode;
use self::parse::DisplayParser;
use self::term::DisplayTerm;
use crate::model::field::FieldSource;

/// An expression that selects connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayFilter {
    node: DisplayNode,
}

impl DisplayFilter {
    /// Parses an expression; an empty one selects everything.
    ///
    /// # Errors
    /// See [`DisplayFilterError`].
    pub fn parse(text: &str) -> Result<Self, DisplayFilterError> {
        Ok(Self { node: DisplayParser::new(text).whole()? })
    }

    /// Selects the connections with one end at an address.
    #[must_use]
    pub fn of_host(address: IpAddr) -> Self {
        Self { node: DisplayNode::DisplayTerm(DisplayTerm::Net(address.into())) }
    }

    /// Selects the connection with the number of a flow.
    #[must_use]
    pub fn of_flow(flow: u64) -> Self {
        Self { node: DisplayNode::DisplayTerm(DisplayTerm::of_flow(flow)) }
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
