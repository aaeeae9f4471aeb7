//! The parameters of a question.

use std::net::IpAddr;

use super::response::words;

/// Entries of a list, if nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Most entries of a list.
const MAX_LIMIT: usize = 1000;

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryParameters {
    /// At most so many entries.
    pub(super) limit: usize,
    /// Only of this host.
    pub(super) host: Option<IpAddr>,
}

impl QueryParameters {
    /// Reads what stands behind the `?`; `known` are those that the path takes.
    ///
    /// # Errors
    /// A sentence that names the parameter and what it may be.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut parameters = Self { limit: DEFAULT_LIMIT, host: None };
        let mut seen: Vec<String> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            if !known.contains(&&*name) {
                let there_are = match known {
                    [] => "it takes none".to_owned(),
                    known => format!("there is {}", known.join(" and ")),
                };
                return Err(format!("'{}' is no parameter of this path; {there_are}", words(&name)));
            }
            if seen.contains(&name) {
                return Err(format!("{name} is there twice; give it once"));
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
    number.ok_or_else(|| format!("limit is '{}'; it must be a number from 1 to {MAX_LIMIT}", words(value)))
}

fn host(value: &str) -> Result<IpAddr, String> {
    let address = value.parse().map(|address: IpAddr| address.to_canonical());
    address.map_err(|_| format!("host is '{}'; it must be an IPv4 or IPv6 address", words(value)))
}

/// Percent-encoding undone (RFC 3986 section 2.1). What is no such encoding stays as it is; `+` does too, as no
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
    fn what_is_left_out_has_its_default() {
        for query in [None, Some(""), Some("&")] {
            assert_eq!(QueryParameters::read(query, BOTH), Ok(QueryParameters { limit: 100, host: None }));
        }
    }

    #[test]
    fn both_are_read_in_any_order_and_encoding() {
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
    fn what_is_wrong_is_named_in_one_sentence() {
        for (query, known, said) in [
            ("limit=0", BOTH, "limit is '0'; it must be a number from 1 to 1000"),
            ("limit=1001", BOTH, "limit is '1001'; it must be a number from 1 to 1000"),
            ("limit", BOTH, "limit is ''; it must be a number from 1 to 1000"),
            ("limit=-1", BOTH, "limit is '-1'; it must be a number from 1 to 1000"),
            ("limit=1&limit=2", BOTH, "limit is there twice; give it once"),
            ("host=example.org", BOTH, "host is 'example.org'; it must be an IPv4 or IPv6 address"),
            ("host=%", BOTH, "host is '%'; it must be an IPv4 or IPv6 address"),
            ("host=%1b[2J", BOTH, "host is '\\u{1b}[2J'; it must be an IPv4 or IPv6 address"),
            ("lim=1", BOTH, "'lim' is no parameter of this path; there is limit and host"),
            ("x=1", &[], "'x' is no parameter of this path; it takes none"),
        ] {
            assert_eq!(QueryParameters::read(Some(query), known), Err(said.to_owned()), "{query}");
        }
    }
}
