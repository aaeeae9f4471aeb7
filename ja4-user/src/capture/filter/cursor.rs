//! Position in the tokens of a filter expression.

use super::error::ExpressionError;
use super::token::{FilterToken, tokens};

/// The tokens of an expression that are not parsed yet.
pub(super) struct TokenCursor<'a> {
    tokens: Vec<(usize, FilterToken<'a>)>,
    /// Index of the next token.
    next: usize,
}

impl<'a> TokenCursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { tokens: tokens(text), next: 0 }
    }

    /// The next token.
    pub(super) fn peek(&self) -> FilterToken<'a> {
        self.peek_after(0)
    }

    /// The token `count` tokens after the next one.
    pub(super) fn peek_after(&self, count: usize) -> FilterToken<'a> {
        self.tokens.get(self.next + count).map_or(FilterToken::End, |(_, token)| *token)
    }

    /// Skips the next token.
    pub(super) const fn advance(&mut self) {
        self.advance_by(1);
    }

    /// Skips tokens.
    pub(super) const fn advance_by(&mut self, count: usize) {
        self.next += count;
    }

    /// Skips the next token if it is this one.
    pub(super) fn skip(&mut self, token: FilterToken<'_>) -> bool {
        let is_next = self.peek() == token;
        self.next += usize::from(is_next);
        is_next
    }

    /// An error at the next token.
    pub(super) fn error(&self, message: impl Into<String>) -> ExpressionError {
        let character = self.tokens.get(self.next).or(self.tokens.last()).map_or(1, |(at, _)| *at);
        ExpressionError::at(character, message)
    }

    /// The error that another token was expected.
    pub(super) fn unexpected(&self, expected: &str) -> ExpressionError {
        self.error(format!("expected {expected}, found {}", self.peek()))
    }
}
