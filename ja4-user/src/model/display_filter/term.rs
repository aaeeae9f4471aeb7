//! One term of a filter expression.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::error::DisplayFilterError;
use crate::document::suggestion;
use crate::model::Method;
use crate::model::field::{Field, FieldKind, FieldSource, FieldValue, VALUES, place};

/// Names that are shorter than those of the field table, or name several fields.
const KEYS: [(&str, &[Field]); 11] = [
    ("src", &[Field::SrcIp]),
    ("dst", &[Field::DestIp]),
    ("sport", &[Field::SrcPort]),
    ("dport", &[Field::DestPort]),
    ("iface", &[Field::InIface]),
    ("sni", &[Field::TlsSni, Field::HttpHostname, Field::DhcpHostname]),
    ("app", &[Field::AppName]),
    ("rule", &[Field::Alerts]),
    ("state", &[Field::ConnectionState]),
    ("ua", &[Field::HttpUserAgent]),
    ("proto", &[Field::Proto, Field::AppProto]),
];

/// Names of conditions about both ends.
const ENDS: [&str; 3] = ["host", "net", "port"];

/// Words that are a whole term.
const WORDS: [&str; 4] = ["new", "bad", "alert", "open"];

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DisplayTerm {
    /// It has a value that was never seen before.
    New,
    /// It matches a known-bad pattern.
    Bad,
    /// It has raised an alert.
    Alert,
    /// It has not ended.
    Open,
    /// One end is in a network.
    Net(IpNet),
    /// One end has a port in a range.
    Port(RangeInclusive<i64>),
    /// One of these fields has a value.
    Fields(Box<[Field]>, WantedValue),
}

/// The value that a field must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WantedValue {
    Net(IpNet),
    Number(RangeInclusive<i64>),
    Flag(bool),
    /// A text, in which `*` matches any text.
    Pattern(String),
    /// A part of a text.
    Part(String),
}

impl DisplayTerm {
    /// Parses a term that begins after so many characters.
    pub(super) fn parse(position: usize, text: &str) -> Result<Self, DisplayFilterError> {
        let fail = |message: String| Err(DisplayFilterError::new(position, message));
        let Some(at) = text.find([':', '~']) else {
            return match text {
                "new" => Ok(Self::New),
                "bad" => Ok(Self::Bad),
                "alert" => Ok(Self::Alert),
                "open" => Ok(Self::Open),
                _ => fail(format!(
                    "unknown word '{}'; write {}, or a key and a value such as dport:443",
                    text.escape_debug(),
                    WORDS.join(", ")
                )),
            };
        };
        let (key, rest) = text.split_at(at);
        let is_part = rest.starts_with('~');
        let value = rest.get(1..).unwrap_or_default();
        let quoted = value.strip_prefix('"');
        if quoted.is_some_and(|quoted| !quoted.ends_with('"')) {
            return fail(format!("no '\"' ends the value of '{}'", key.escape_debug()));
        }
        let value = quoted.and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(value);
        let at_value = position + key.chars().count() + 1;
        let invalid = |expected: &str| {
            let message = format!("invalid value '{}' of '{key}'; expected {expected}", value.escape_debug());
            DisplayFilterError::new(at_value, message)
        };
        if value.is_empty() {
            return Err(DisplayFilterError::new(at_value, format!("'{key}' has no value")));
        }
        let fields = match key {
            "host" | "net" if !is_part => {
                return network(value).map(Self::Net).ok_or_else(|| invalid("an address or a network"));
            }
            "port" if !is_part => return range(value).map(Self::Port).ok_or_else(|| invalid("a number or a range")),
            _ => fields_of(key),
        };
        let Some(field) = fields.first() else {
            return fail(format!("unknown key '{}'{}", key.escape_debug(), suggestion(key, keys())));
        };
        // Fields with one name are all text, or there is one.
        let wanted = match field.kind() {
            FieldKind::Ip if !is_part => {
                WantedValue::Net(network(value).ok_or_else(|| invalid("an address or a network"))?)
            }
            FieldKind::Number | FieldKind::Time | FieldKind::Date if !is_part => {
                WantedValue::Number(range(value).ok_or_else(|| invalid("a number or a range such as 1024-65535"))?)
            }
            FieldKind::Bool if !is_part => WantedValue::Flag(value.parse().map_err(|_| invalid("true or false"))?),
            FieldKind::Text | FieldKind::Word(_) if is_part => WantedValue::Part(value.to_ascii_lowercase()),
            FieldKind::Text | FieldKind::Word(_) => WantedValue::Pattern(value.to_ascii_lowercase()),
            _ => return fail(format!("'{key}' is {}; write {key}:{}", field.kind().name(), value.escape_debug())),
        };
        Ok(Self::Fields(fields, wanted))
    }

    pub(super) fn of_flow(flow: u64) -> Self {
        let id = i64::try_from(flow).unwrap_or(i64::MAX);
        Self::Fields([Field::FlowId].into(), WantedValue::Number(id..=id))
    }

    pub(super) fn matches(&self, connection: &impl FieldSource) -> bool {
        let flag = |field| matches!(connection.value(field), Some(FieldValue::Bool(true)));
        match self {
            Self::New => flag(Field::FirstSeen),
            Self::Bad => flag(Field::KnownBadFlag) || connection.value(Field::KnownBadPattern).is_some(),
            Self::Alert => connection.value(Field::Alerts).is_some(),
            Self::Open => match connection.value(Field::ConnectionState) {
                Some(FieldValue::Text(state)) => state == "open",
                _ => true,
            },
            Self::Net(net) => [Field::SrcIp, Field::DestIp].into_iter().any(|field| is_in(net, connection, field)),
            Self::Port(ports) => [Field::SrcPort, Field::DestPort].into_iter().any(|field| {
                connection.value(field).is_some_and(|value| number(value).is_some_and(|port| ports.contains(&port)))
            }),
            Self::Fields(fields, WantedValue::Flag(wanted)) => fields.iter().any(|field| flag(*field)) == *wanted,
            Self::Fields(fields, wanted) => {
                fields.iter().any(|field| connection.value(*field).is_some_and(|value| wanted.is(value)))
            }
        }
    }
}

impl WantedValue {
    /// Whether a value, or one of several, is wanted.
    fn is(&self, value: FieldValue<'_>) -> bool {
        let text = |text: &str| match self {
            Self::Pattern(pattern) => matches(pattern, text),
            Self::Part(part) => contains(text, part),
            _ => false,
        };
        match (value, self) {
            (FieldValue::Ip(address), Self::Net(net)) => net.contains(&address),
            (FieldValue::Tags(tags), Self::Number(range)) => tags.iter().any(|tag| range.contains(&i64::from(tag))),
            (FieldValue::Text(value), _) => text(value),
            (FieldValue::Texts(values), _) => values.iter().any(|value| text(value)),
            (FieldValue::MethodValues(values), _) => values.iter().any(text),
            (value, Self::Number(range)) => number(value).is_some_and(|number| range.contains(&number)),
            _ => false,
        }
    }
}

/// The fields with a name: a short one, the values of a method, or one of the field table; empty: there is none.
fn fields_of(key: &str) -> Box<[Field]> {
    if let Some((_, fields)) = KEYS.iter().find(|(name, _)| *name == key) {
        return (*fields).into();
    }
    let of_method = |method: Method| VALUES.iter().find(|(of, _)| *of == method).map(|(_, field)| *field);
    let of_method = key.parse().ok().and_then(of_method);
    of_method.or_else(|| long_fields().find(|field| field.name() == key)).into_iter().collect()
}

fn long_fields() -> impl Iterator<Item = Field> {
    Field::ALL.iter().copied().filter(|field| field.is_in(place::CONNECTION))
}

fn keys() -> impl Iterator<Item = &'static str> {
    let short = KEYS.iter().map(|(name, _)| *name).chain(ENDS);
    short.chain(Method::ALL.map(Method::name)).chain(long_fields().map(Field::name))
}

fn number(value: FieldValue<'_>) -> Option<i64> {
    match value.comparable() {
        FieldValue::Number(number) => Some(number),
        _ => None,
    }
}

fn is_in(net: &IpNet, connection: &impl FieldSource, field: Field) -> bool {
    matches!(connection.value(field), Some(FieldValue::Ip(address)) if net.contains(&address))
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Parses `443`, `1024-65535`, `1024-` or `-1023`.
fn range(text: &str) -> Option<RangeInclusive<i64>> {
    let bound = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse::<u32>().map(i64::from).ok().or_else(|| text.parse::<i64>().ok().filter(|n| *n >= 0)),
    };
    match text.split_once('-') {
        None => bound(text).map(|only| only..=only),
        Some((from, "")) => Some(bound(from)?..=i64::MAX),
        Some(("", to)) => Some(0..=bound(to)?),
        Some((from, to)) => Some(bound(from)?..=bound(to)?).filter(|range| !range.is_empty()),
    }
}

/// Whether a text contains a part, which has no upper-case letters.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// Whether a pattern without upper-case letters matches a whole text. Linear in both, since the first match of a part is
/// as good as any.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*').map(str::as_bytes);
    let first = parts.next().unwrap_or_default();
    let Some((head, mut text)) = text.as_bytes().split_at_checked(first.len()) else { return false };
    if !head.eq_ignore_ascii_case(first) {
        return false;
    }
    let Some(last) = parts.next_back() else { return text.is_empty() };
    for part in parts {
        let found = text.windows(part.len().max(1)).position(|window| window.eq_ignore_ascii_case(part));
        match found {
            _ if part.is_empty() => {}
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.len().checked_sub(last.len()).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(last))
}
