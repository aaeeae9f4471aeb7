//! Operators and parentheses of a filter expression.
//!
//! ```text
//! expression = operand { ( "and" | "or" ) operand }         from left to right, as in pcap-filter(7)
//! operand    = { "not" } ( "(" expression ")" | primitive )
//! ```

use ja4_common::capture_filter::FilterTerm;

use super::error::ExpressionError;
use super::node::Node;
use super::primitive::PrimitiveParser;
use super::token::FilterToken;

/// Most levels of parentheses.
const MAX_DEPTH: usize = 32;

/// Parser of one expression.
pub(super) struct Parser<'a> {
    primitives: PrimitiveParser<'a>,
    /// Open parentheses.
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, ExpressionError> {
        if text.trim().is_empty() {
            return Err(ExpressionError::whole(
                "is empty; name a primitive such as 'port 443', or leave the filter out",
            ));
        }
        Ok(Self { primitives: PrimitiveParser::new(text), depth: 0 })
    }

    /// Parses the expression up to its end.
    pub(super) fn whole(mut self) -> Result<(Node, Vec<FilterTerm>), ExpressionError> {
        let node = self.expression()?;
        match self.primitives.cursor.peek() {
            FilterToken::End => Ok((node, self.primitives.terms)),
            _ => Err(self.primitives.cursor.unexpected("'and', 'or' or the end")),
        }
    }

    fn expression(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.operand()?;
        loop {
            let join = match self.primitives.cursor.peek() {
                FilterToken::And => Node::And,
                FilterToken::Or => Node::Or,
                _ => return Ok(left),
            };
            self.primitives.cursor.advance();
            left = join(Box::new(left), Box::new(self.operand()?));
        }
    }

    fn operand(&mut self) -> Result<Node, ExpressionError> {
        let mut is_negated = false;
        while self.primitives.cursor.skip(FilterToken::Not) {
            is_negated = !is_negated;
        }
        let node = match self.primitives.cursor.peek() {
            FilterToken::Open => self.parentheses()?,
            _ => Node::Term(self.primitives.primitive()?),
        };
        Ok(if is_negated { Node::Not(Box::new(node)) } else { node })
    }

    fn parentheses(&mut self) -> Result<Node, ExpressionError> {
        if self.depth == MAX_DEPTH {
            return Err(self
                .primitives
                .cursor
                .error(format!("more than {MAX_DEPTH} levels of parentheses; remove some")));
        }
        self.primitives.cursor.advance();
        self.depth += 1;
        let node = self.expression()?;
        self.depth -= 1;
        if self.primitives.cursor.skip(FilterToken::Close) {
            Ok(node)
        } else {
            Err(self.primitives.cursor.unexpected("'and', 'or' or ')'"))
        }
    }
}
