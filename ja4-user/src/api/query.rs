//! The parameters of a query.

use std::net::IpAddr;

use super::response::printable;

/// Default number of entries of a list.
const DEFAULT_LIMIT: usize = 100;

/// Maximum number of entries of a list.
const MAX_LIMIT: usize = 1000;

/// The parameters of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryParameters {
    /// Maximum number of entries.
    pub(super) limit: usize,
    /// The client or server of the entries.
    pub(super) host: Option<IpAddr>,
}

impl QueryParameters {
    /// Parses a query string. `known` are the parameters of the path.
    ///
    /// # Errors
    /// A message that names the parameter and its permitted values.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut parameters = Self { limit: DEFAULT_LIMIT, host: None };
        let mut seen: Vec<String> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            if !known.contains(&&*name) {
                let expected = match known {
                    [] => "none is expected".to_owned(),
                    known => format!("expected {}", known.join(" or ")),
                };
                return Err(format!("unknown parameter '{}'; {expected}", printable(&name)));
            }
            if seen.contains(&name) {
                return Err(format!("duplicate parameter {name}; give it once"));
            }
            match &*name {
                "limit" => parameters.limit = limit(&value)?,
                _ => parameters.host = Some(host(&value)?),
            }
            seen.push(name);
        }
        Ok(parameters)
    }
}

fn limit(value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| format!("invalid limit '{}'; expected 1 to {MAX_LIMIT}", printable(value)))
}

fn host(value: &str) -> Result<IpAddr, String> {
    let address = value.parse().map(|address: IpAddr| address.to_canonical());
    address.map_err(|_| format!("invalid host '{}'; expected an IPv4 or IPv6 address", printable(value)))
}

/// Decodes percent-encoding (RFC 3986, section 2.1). Invalid encodings stay as they are, and so does `+`, because no
/// parameter has a space.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.first_chunk().filter(|_| byte == b'%').and_then(|digits: &[u8; 2]| {
            digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
        });
        match digits {
            Some(code) => {
                bytes.push(code as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &["limit", "host"];

    #[test]
    fn omitted_parameters_have_defaults() {
        for query in [None, Some(""), Some("&")] {
            assert_eq!(QueryParameters::read(query, BOTH), Ok(QueryParameters { limit: 100, host: None }));
        }
    }

    #[test]
    fn parameters_are_parsed_in_any_order_and_encoding() {
        let wanted = |host: &str| Ok(QueryParameters { limit: 7, host: host.parse().ok() });
        for (query, host) in [
            ("limit=7&host=10.0.0.1", "10.0.0.1"),
            ("host=fd00::1&limit=7", "fd00::1"),
            ("host=fd00%3A%3a1&limit=%37", "fd00::1"),
            ("host=::ffff:10.0.0.1&limit=7", "10.0.0.1"),
        ] {
            assert_eq!(QueryParameters::read(Some(query), BOTH), wanted(host), "{query}");
        }
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        for (query, known, said) in [
            ("limit=0", BOTH, "invalid limit '0'; expected 1 to 1000"),
            ("limit=1001", BOTH, "invalid limit '1001'; expected 1 to 1000"),
            ("limit", BOTH, "invalid limit ''; expected 1 to 1000"),
            ("limit=-1", BOTH, "invalid limit '-1'; expected 1 to 1000"),
            ("limit=1&limit=2", BOTH, "duplicate parameter limit; give it once"),
            ("host=example.org", BOTH, "invalid host 'example.org'; expected an IPv4 or IPv6 address"),
            ("host=%", BOTH, "invalid host '%'; expected an IPv4 or IPv6 address"),
            ("host=%1b[2J", BOTH, "invalid host '\\u{1b}[2J'; expected an IPv4 or IPv6 address"),
            ("lim=1", BOTH, "unknown parameter 'lim'; expected limit or host"),
            ("x=1", &[], "unknown parameter 'x'; none is expected"),
        ] {
            assert_eq!(QueryParameters::read(Some(query), known), Err(said.to_owned()), "{query}");
        }
    }
}
