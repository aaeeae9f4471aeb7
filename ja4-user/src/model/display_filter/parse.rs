//! Parser of filter expressions.
//!
//! ```text
//! any  = all { "or" all }
//! all  = not { [ "and" ] not }
//! not  = "not" not | "(" any ")" | term
//! term = word | key ":" value | key "~" value
//! ```

use super::error::DisplayFilterError;
use super::node::DisplayNode;
use super::term::DisplayTerm;

/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 64;

/// A parser.
pub(super) struct DisplayParser<'a> {
    /// Tokens that were not read, the next one last: position and text.
    tokens: Vec<(usize, &'a str)>,
    end: usize,
    depth: usize,
}

impl<'a> DisplayParser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut tokens = tokens(text);
        tokens.reverse();
        Self { tokens, end: text.chars().count(), depth: 0 }
    }

    /// Parses the whole expression.
    pub(super) fn whole(mut self) -> Result<DisplayNode, DisplayFilterError> {
        if self.tokens.is_empty() {
            return Ok(DisplayNode::All(Vec::new()));
        }
        let node = self.any()?;
        match self.tokens.last() {
            None => Ok(node),
            Some((position, token)) => {
                Err(DisplayFilterError::new(*position, format!("unexpected '{}'", token.escape_debug())))
            }
        }
    }

    fn any(&mut self) -> Result<DisplayNode, DisplayFilterError> {
        let mut nodes = vec![self.all()?];
        while self.takes("or") {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, DisplayNode::Any))
    }

    fn all(&mut self) -> Result<DisplayNode, DisplayFilterError> {
        let mut nodes = vec![self.not()?];
        loop {
            let is_named = self.takes("and");
            let ends = self.tokens.last().is_none_or(|(_, token)| matches!(*token, ")" | "or"));
            if ends && !is_named {
                return Ok(one_or(nodes, DisplayNode::All));
            }
            nodes.push(self.not()?);
        }
    }

    fn not(&mut self) -> Result<DisplayNode, DisplayFilterError> {
        let Some((position, token)) = self.tokens.pop() else {
            return Err(DisplayFilterError::new(self.end, "a term is missing, such as dport:443"));
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(DisplayFilterError::new(position, format!("nested deeper than {MAX_DEPTH}")));
        }
        let node = match token {
            "not" => DisplayNode::Not(Box::new(self.not()?)),
            "(" => {
                let node = self.any()?;
                if !self.takes(")") {
                    return Err(DisplayFilterError::new(position, "no ')' closes this '('"));
                }
                node
            }
            ")" | "and" | "or" => {
                return Err(DisplayFilterError::new(position, format!("a term is missing before '{token}'")));
            }
            term => DisplayNode::DisplayTerm(DisplayTerm::parse(position, term)?),
        };
        self.depth -= 1;
        Ok(node)
    }

    /// Reads this token if it is the next one.
    fn takes(&mut self, token: &str) -> bool {
        self.tokens.pop_if(|(_, next)| *next == token).is_some()
    }
}

fn one_or(mut nodes: Vec<DisplayNode>, many: fn(Vec<DisplayNode>) -> DisplayNode) -> DisplayNode {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => {
            nodes.extend(last);
            many(nodes)
        }
    }
}

/// Splits a text at spaces and parentheses, which quotes may contain.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut is_quoted = false;
    let mut close = |open: &mut Option<(usize, usize)>, end: usize| {
        if let Some((position, start)) = open.take() {
            tokens.push((position, text.get(start..end).unwrap_or_default()));
        }
    };
    let mut parentheses = Vec::new();
    for (position, (at, character)) in text.char_indices().enumerate() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                open.get_or_insert((position, at));
            }
            _ if is_quoted => {}
            '(' | ')' => {
                close(&mut open, at);
                parentheses.push((position, text.get(at..=at).unwrap_or_default()));
            }
            _ if character.is_whitespace() => close(&mut open, at),
            _ => {
                open.get_or_insert((position, at));
            }
        }
    }
    close(&mut open, text.len());
    tokens.extend(parentheses);
    tokens.sort_unstable_by_key(|(position, _)| *position);
    tokens
}
