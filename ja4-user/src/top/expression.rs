//! Filter expressions: checked while they are typed, and evaluated on the rows of a capture file.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use thiserror::Error;

use super::row;
use crate::model::{Method, glob};

/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 64;

/// Why an expression is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {}: {message}", position + 1)]
pub(super) struct ExpressionError {
    /// Place of the error, in characters from the start.
    position: usize,
    message: String,
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowExpression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// One of these fields is as wanted.
    Field(Vec<String>, Comparison),
    /// One of these addresses is in a network.
    Network(IpNet),
    /// A mark is set.
    Mark(&'static str),
    Open,
}

#[derive(Clone, Debug, PartialEq)]
enum Comparison {
    /// Equal to a pattern in which `*` is any text, in lower case.
    Glob(String),
    /// Contains a text, in lower case.
    Contains(String),
}

/// Fields with names of their own, and their paths in a row.
const FIELDS: &[(&str, &[&str])] = &[
    ("host", &["src_ip", "dest_ip"]),
    ("src", &["src_ip"]),
    ("dst", &["dest_ip"]),
    ("port", &["src_port", "dest_port"]),
    ("sport", &["src_port"]),
    ("dport", &["dest_port"]),
    ("proto", &["proto", "app_proto"]),
    ("iface", &["in_iface"]),
    ("sni", &["tls.sni", "http.hostname", "dhcp.hostname"]),
    ("app", &["app.name"]),
    ("os", &["os"]),
    ("rule", &["alerts"]),
];

/// Returns what is wrong with an expression. An empty one selects every row.
pub(super) fn error(text: &str) -> Option<String> {
    RowExpression::parse(text).err().map(|error| error.to_string())
}

impl RowExpression {
    /// # Errors
    /// See [`ExpressionError`].
    pub(super) fn parse(text: &str) -> Result<Self, ExpressionError> {
        let tokens = tokens(text)?;
        let mut parser = ExpressionParser { tokens: &tokens, end: text.chars().count() };
        if tokens.is_empty() {
            return Ok(Self(Node::All(Vec::new())));
        }
        let node = parser.any(0)?;
        match parser.tokens {
            [] => Ok(Self(node)),
            [token, ..] => Err(token.error("unexpected )")),
        }
    }

    /// Whether a row of a connection matches.
    pub(super) fn matches(&self, of: &Value) -> bool {
        self.0.matches(of)
    }
}

impl Node {
    fn matches(&self, of: &Value) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(of)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(of)),
            Self::Not(node) => !node.matches(of),
            Self::Field(paths, comparison) => {
                paths.iter().filter_map(|path| row::field(of, path)).any(|value| comparison.holds(value))
            }
            Self::Network(network) => ["src_ip", "dest_ip"].iter().any(|path| {
                let address = row::text(of, path).and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| network.contains(&address))
            }),
            Self::Mark(path) => row::holds(of, path),
            Self::Open => row::text(of, "connection.state").is_some_and(|state| state == "open"),
        }
    }
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        match value {
            Value::Array(list) => list.iter().any(|value| self.holds(value)),
            Value::String(text) => self.holds_for(text),
            Value::Number(number) => self.holds_for(&number.to_string()),
            Value::Null | Value::Bool(_) | Value::Object(_) => false,
        }
    }

    fn holds_for(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        match self {
            Self::Glob(pattern) => glob::matches(pattern, &text),
            Self::Contains(part) => text.contains(part.as_str()),
        }
    }
}

/// A word or a parenthesis, and its place.
#[derive(Clone, Debug)]
struct ExpressionToken {
    position: usize,
    text: String,
}

impl ExpressionToken {
    fn error(&self, message: impl Into<String>) -> ExpressionError {
        ExpressionError { position: self.position, message: message.into() }
    }
}

/// Splits at spaces and parentheses; text in quotation marks stays together.
fn tokens(text: &str) -> Result<Vec<ExpressionToken>, ExpressionError> {
    let mut tokens: Vec<ExpressionToken> = Vec::new();
    let (mut is_in_word, mut quotation) = (false, None);
    for (position, character) in text.chars().enumerate() {
        match (character, quotation) {
            ('"', None) => quotation = Some(position),
            ('"', Some(_)) => quotation = None,
            ('(' | ')', None) => {
                tokens.push(ExpressionToken { position, text: character.to_string() });
                is_in_word = false;
            }
            (character, None) if character.is_whitespace() => is_in_word = false,
            _ => {
                if !is_in_word {
                    tokens.push(ExpressionToken { position, text: String::new() });
                    is_in_word = true;
                }
                tokens.last_mut().into_iter().for_each(|token| token.text.push(character));
            }
        }
    }
    match quotation {
        Some(position) => Err(ExpressionError { position, message: "the quotation mark is not closed".to_owned() }),
        None => Ok(tokens),
    }
}

struct ExpressionParser<'a> {
    tokens: &'a [ExpressionToken],
    /// Place behind the text.
    end: usize,
}

impl ExpressionParser<'_> {
    /// Whether the next token is this word, which is then consumed.
    fn skip(&mut self, word: &str) -> bool {
        match self.tokens {
            [token, rest @ ..] if token.text == word => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    /// Parses `A or B`.
    fn any(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        let mut nodes = vec![self.all(depth)?];
        while self.skip("or") {
            nodes.push(self.all(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    /// Parses `A and B` and `A B`.
    fn all(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        let mut nodes = vec![self.one(depth)?];
        while self.skip("and") || self.tokens.first().is_some_and(|token| !matches!(&*token.text, "or" | ")")) {
            nodes.push(self.one(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        let [token, rest @ ..] = self.tokens else {
            return Err(ExpressionError { position: self.end, message: "an expression is missing here".to_owned() });
        };
        if depth > MAX_DEPTH {
            return Err(token.error("too many parentheses"));
        }
        self.tokens = rest;
        match &*token.text {
            "not" => Ok(Node::Not(Box::new(self.one(depth + 1)?))),
            "(" => {
                let node = self.any(depth + 1)?;
                if self.skip(")") { Ok(node) } else { Err(token.error("this ( is not closed")) }
            }
            "and" | "or" | ")" => Err(token.error(format!("unexpected {}", token.text))),
            _ => term(token),
        }
    }
}

/// Parses `field:value`, `field~value` or a mark.
fn term(token: &ExpressionToken) -> Result<Node, ExpressionError> {
    let Some(place) = token.text.find([':', '~']) else {
        return match &*token.text {
            "new" => Ok(Node::Mark("first_seen")),
            "bad" => Ok(Node::Mark("known_bad")),
            "alert" => Ok(Node::Mark("alerts")),
            "open" => Ok(Node::Open),
            word => Err(token.error(format!("unknown word {word}: expected new, bad, alert, open or field:value"))),
        };
    };
    let (name, rest) = token.text.split_at(place);
    let (is_exact, value) = (rest.starts_with(':'), rest.get(1..).unwrap_or_default());
    if value.is_empty() {
        return Err(token.error(format!("{name} has no value")));
    }
    if name == "net" {
        let network = value.parse().or_else(|_| value.parse::<IpAddr>().map(IpNet::from));
        return network.map(Node::Network).map_err(|_| token.error("expected a network such as net:10.0.0.0/8"));
    }
    let named =
        FIELDS.iter().find(|(field, _)| *field == name).map(|(_, paths)| paths.iter().map(|path| (*path).to_owned()));
    let paths: Vec<String> = match (named, Method::ALL.into_iter().find(|method| method.name() == name)) {
        (Some(paths), _) => paths.collect(),
        (None, Some(method)) => vec![format!("ja4.{}", method.name())],
        (None, None) => return Err(token.error(format!("unknown field {name}; ? lists the fields"))),
    };
    let value = value.to_lowercase();
    Ok(Node::Field(paths, if is_exact { Comparison::Glob(value) } else { Comparison::Contains(value) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn connection() -> Value {
        json!({
            "src_ip": "10.1.2.3", "src_port": 50_000, "dest_ip": "192.0.2.1", "dest_port": 443, "proto": "TCP",
            "app_proto": "tls", "in_iface": "eth0", "tls": {"sni": "www.Example.org"}, "app": {"name": "Chromium 130"},
            "first_seen": true, "alerts": [], "connection": {"state": "open"}, "os": "Linux",
            "ja4": {"ja4": ["t13d1516h2_8daaf6152771_e5627efa2ab1", "t13d_x"], "ja4t": ["64240_2-4-8-1-3_1460_7"]},
        })
    }

    fn matches(text: &str) -> bool {
        RowExpression::parse(text).unwrap().matches(&connection())
    }

    #[test]
    fn fields_words_and_networks_select_a_row() {
        for text in [
            "",
            "app:chromium*",
            "app:\"Chromium 130\"",
            "app~mium",
            "sni~EXAMPLE",
            "sni:www.example.org",
            "host:192.0.2.1",
            "src:10.1.2.*",
            "net:10.0.0.0/8",
            "net:192.0.2.1",
            "dport:443",
            "port:50000",
            "proto:tls",
            "proto:tcp",
            "iface:eth0",
            "ja4:t13d1516h2_*",
            "ja4:t13d_x",
            "ja4t:64240*",
            "new",
            "open",
            "os:linux",
            "not bad",
            "new open",
            "new and open",
            "bad or new",
            "not (bad or alert)",
            "(new)",
            "not not new",
            "bad or new and open",
            "ja4~8daaf",
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [
            "app:chromium",
            "bad",
            "alert",
            "not new",
            "new bad",
            "net:192.0.3.0/24",
            "dst:10.1.2.3",
            "sport:443",
            "ja4s:*",
            "(bad or alert) new",
            "not (bad or new)",
            "rule:known_bad",
        ] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        for (text, message) in [
            ("app:curl and", "column 13: an expression is missing here"),
            ("app:", "column 1: app has no value"),
            ("new colour:red", "column 5: unknown field colour; ? lists the fields"),
            ("(new", "column 1: this ( is not closed"),
            ("new)", "column 4: unexpected )"),
            ("or new", "column 1: unexpected or"),
            ("curl", "column 1: unknown word curl: expected new, bad, alert, open or field:value"),
            ("net:x", "column 1: expected a network such as net:10.0.0.0/8"),
            ("app:\"x", "column 5: the quotation mark is not closed"),
        ] {
            assert_eq!(error(text).as_deref(), Some(message), "{text}");
        }
        assert!(error(&"(".repeat(1_000)).unwrap().contains("too many parentheses"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "([a-z:~*()\" 0-9/.]|not |and |or |new |net:|ja4:){0,40}") {
            if let Ok(expression) = RowExpression::parse(&text) {
                expression.matches(&connection());
            }
        }
    }
}
