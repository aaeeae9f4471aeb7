//! Tokens of a filter expression.

use std::fmt;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterToken<'a> {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `and` or `&&`
    And,
    /// `or` or `||`
    Or,
    /// `not` or `!`
    Not,
    /// Any other word.
    Word(&'a str),
    /// The end of the expression.
    End,
}

impl fmt::Display for FilterToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("'('"),
            Self::Close => f.write_str("')'"),
            Self::And => f.write_str("'and'"),
            Self::Or => f.write_str("'or'"),
            Self::Not => f.write_str("'not'"),
            Self::Word(word) => write!(f, "'{}'", word.escape_debug()),
            Self::End => f.write_str("the end"),
        }
    }
}

/// Tokens that end a word.
const SYMBOLS: [(&str, FilterToken<'static>); 5] = [
    ("(", FilterToken::Open),
    (")", FilterToken::Close),
    ("!", FilterToken::Not),
    ("&&", FilterToken::And),
    ("||", FilterToken::Or),
];

/// Returns the tokens with their positions in characters, from 1. The last one is the end.
pub(super) fn tokens(text: &str) -> Vec<(usize, FilterToken<'_>)> {
    let mut tokens = Vec::new();
    let (mut rest, mut position) = (text, 1);
    // Characters of `before` up to `after`, which is its end.
    let length = |before: &str, after: &str| before.strip_suffix(after).map_or(0, |skipped| skipped.chars().count());
    loop {
        let word = rest.trim_start();
        position += length(rest, word);
        let (token, after) = next(word);
        tokens.push((position, token));
        if token == FilterToken::End {
            return tokens;
        }
        position += length(word, after);
        rest = after;
    }
}

/// Splits off the first token of a text without leading white space.
fn next(rest: &str) -> (FilterToken<'_>, &str) {
    if rest.is_empty() {
        return (FilterToken::End, rest);
    }
    if let Some((after, token)) = SYMBOLS.iter().find_map(|(text, token)| Some((rest.strip_prefix(text)?, *token))) {
        return (token, after);
    }
    let ends = |(at, character): (usize, char)| {
        let starts_symbol = SYMBOLS.iter().any(|(text, _)| rest.get(at..).is_some_and(|rest| rest.starts_with(text)));
        (character.is_whitespace() || starts_symbol).then_some(at)
    };
    let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let token = match word {
        "and" => FilterToken::And,
        "or" => FilterToken::Or,
        "not" => FilterToken::Not,
        word => FilterToken::Word(word),
    };
    (token, after)
}
