//! From TOML to rules: all that is wrong at once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arcstr::ArcStr;
use regex::RegexBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::definition::{Definition, Measure, Mode, On, Threshold};
use super::{Condition, Literal, Op};
use crate::document::{Document, Issue, suggestion, type_name};
use crate::model::Severity;
use crate::model::field::{Field, Kind, Known};
use crate::model::method_set::{COOLDOWN, WINDOW};
use crate::units::Span;

type Value<'a> = Spanned<DeValue<'a>>;

/// Longest name of a rule, bytes: it is a key of metrics and of the database.
const MAX_NAME: usize = 64;
/// Longest description, bytes: it goes into every alert.
const MAX_DESCRIPTION: usize = 500;
/// Conditions of a rule.
const MAX_CONDITIONS: usize = 32;
/// Fields to group by: more make groups of one.
const MAX_GROUP_BY: usize = 4;
/// Values of one list.
const MAX_VALUES: usize = 4_096;
/// Bytes that a compiled regular expression may take; what takes more is slow too.
const REGEX_BYTES: usize = 256 * 1024;

/// A rule of a file, and where it stands. It is absent where something is wrong with it.
pub(super) struct Parsed {
    pub(super) name: Arc<str>,
    pub(super) rule: Option<Arc<Definition>>,
    pub(super) place: (usize, usize),
}

/// A file of rules that are not compiled yet.
pub(super) struct RuleFile<'a> {
    document: Document<'a>,
    table: Option<Spanned<DeTable<'a>>>,
}

impl<'a> RuleFile<'a> {
    /// Parses the text as TOML.
    pub(super) fn parse(path: &Path, text: &'a str) -> Self {
        let (document, table) = Document::parse(path, text);
        Self { document, table }
    }

    /// The number of rules in it.
    pub(super) fn len(&self) -> usize {
        let list = self.table.as_ref().and_then(|table| table.get_ref().get("rule")?.get_ref().as_array());
        list.map_or(0, |list| list.len())
    }

    /// The errors of the text, without those of its rules.
    pub(super) fn into_issues(self) -> Vec<Issue> {
        self.document.finish()
    }

    /// Compiles the rules. Returns them with their errors.
    pub(super) fn compile(self) -> (Vec<Parsed>, Vec<Issue>) {
        let Self { mut document, table } = self;
        let mut found = Vec::new();
        if let Some(table) = table {
            let table = table.get_ref();
            document.only(table, &["rule"], "a file of rules");
            let list = table.get("rule").and_then(|value| match value.get_ref() {
                DeValue::Array(list) => Some(list),
                _ => {
                    document.issue(value.span(), "rules are written as [[rule]], with two brackets");
                    None
                }
            });
            for (place, value) in (1..).zip(list.into_iter().flatten()) {
                if let Some(table) = document.table(value, "a rule") {
                    found.extend(rule(&mut document, table, value.span(), place));
                }
            }
        }
        (found, document.finish())
    }
}

const KEYS: [&str; 11] = [
    "name",
    "description",
    "severity",
    "on",
    "where",
    "group_by",
    "measure",
    "threshold",
    "window",
    "mode",
    "cooldown",
];

fn rule<'a>(document: &mut Document<'a>, table: &DeTable<'a>, span: Range<usize>, number: usize) -> Option<Parsed> {
    let named = table.get("name").and_then(|value| value.get_ref().as_str());
    let what = named.map_or_else(|| format!("rule {number}"), |name| format!("rule {name:?}"));
    document.only(table, &KEYS, &what);

    let name = document.required(table, &span, "name", &what);
    let place = document.place(name.map_or(span.start, |value| value.span().start));
    let name = name.and_then(|value| name_of(document, value));
    let description = match table.get("description") {
        Some(value) => text_of(document, value, &what),
        None => name.as_deref().map(ArcStr::from),
    };
    let severity = match table.get("severity") {
        Some(value) => {
            let word = document.word(value, &format!("{what}: severity"), &Severity::ALL.map(Severity::name));
            word.and_then(|word| word.parse::<Severity>().ok())
        }
        None => Some(Severity::Medium),
    };
    let on = document.required(table, &span, "on", &what).and_then(|value| {
        let word = document.word(value, &format!("{what}: on"), &["connection", "fingerprint"])?;
        Some(if word == "connection" { On::Connection } else { On::Fingerprint })
    });
    let mut names = Names { what: &what, on };
    let conditions = match table.get("where") {
        Some(value) => names.conditions(document, value),
        None => Some(Vec::new()),
    };
    let group_by = match table.get("group_by") {
        Some(value) => names.group_by(document, value),
        None => Some(Vec::new()),
    };
    let measure = match table.get("measure") {
        Some(value) => names.measure(document, value),
        None => Some(Measure::Count),
    };
    let threshold = document.required(table, &span, "threshold", &what);
    let threshold = threshold.and_then(|value| threshold_of(document, value, &what, measure));
    let window = document.required(table, &span, "window", &what);
    let window = window.and_then(|value| document.duration_within(value, &format!("{what}: window"), WINDOW));
    let mode = match table.get("mode") {
        Some(value) => document
            .word(value, &format!("{what}: mode"), &["sliding", "tumbling"])
            .map(|word| if word == "sliding" { Mode::Sliding } else { Mode::Tumbling }),
        None => Some(Mode::Sliding),
    };
    let cooldown = match table.get("cooldown") {
        Some(value) => document.duration_within(value, &format!("{what}: cooldown"), COOLDOWN),
        None => window.map(|window| window.max(COOLDOWN.0)),
    };

    let name = name?;
    let rule = (|| {
        Some(Definition {
            name: Arc::clone(&name),
            description: description?,
            severity: severity?,
            on: on?,
            conditions: conditions?,
            group_by: group_by?,
            measure: measure?,
            threshold: threshold?,
            window: window?.0,
            mode: mode?,
            cooldown: cooldown?.0,
        })
    })();
    Some(Parsed { name, rule: rule.map(Arc::new), place })
}

fn name_of(document: &mut Document<'_>, value: &Value<'_>) -> Option<Arc<str>> {
    let Some(name) = value.get_ref().as_str() else {
        document.expected(value, "a rule's name", "a text");
        return None;
    };
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        document.issue(
            value.span(),
            format!("a rule's name is made of a-z, 0-9, '_', '-' and '.', at most {MAX_NAME} of them; not {name:?}"),
        );
        return None;
    }
    Some(name.into())
}

fn text_of(document: &mut Document<'_>, value: &Value<'_>, what: &str) -> Option<ArcStr> {
    let Some(text) = value.get_ref().as_str() else {
        document.expected(value, &format!("{what}: description"), "a text");
        return None;
    };
    if text.len() > MAX_DESCRIPTION {
        document.issue(value.span(), format!("{what}: description is longer than {MAX_DESCRIPTION} bytes"));
        return None;
    }
    Some(text.into())
}

fn threshold_of<'a>(
    document: &mut Document<'a>,
    value: &Value<'a>,
    what: &str,
    measure: Option<Measure>,
) -> Option<Threshold> {
    let table = document.table(value, &format!("{what}: threshold"))?;
    let what = format!("{what}: threshold");
    document.only(table, &["op", "value"], &what);
    let op = document.required(table, &value.span(), "op", &what).and_then(|op| {
        let word = document.text(op, &format!("{what}: op"))?;
        if matches!(word, "gt" | "gte") {
            return Some(word == "gt");
        }
        let message = if Op::ALL.iter().any(|known| known.name() == word) {
            format!("{what}: op must be gt or gte, not {word}: what is counted starts at 1, and only too much is told")
        } else {
            format!("{what}: op must be gt or gte, not {word:?}")
        };
        document.issue(op.span(), message);
        None
    });
    let number = document.required(table, &value.span(), "value", &what).and_then(|number| {
        let parsed = document.integer(number, &format!("{what}: value"))?;
        let limit = measure.map_or(super::definition::MAX_COUNT, Definition::limit);
        let least = if op == Some(true) { 0 } else { 1 };
        let most = i64::from(limit) - i64::from(op == Some(true));
        if !(least..=most).contains(&parsed) {
            let counted =
                if measure.is_some_and(|measure| measure != Measure::Count) { "count_distinct" } else { "count" };
            document.issue(
                number.span(),
                format!("{what}: value must be from {least} to {most} for a {counted}, not {parsed}"),
            );
            return None;
        }
        u32::try_from(parsed).ok()
    });
    let number = number?;
    Some(if op? { Threshold::MoreThan(number) } else { Threshold::AtLeast(number) })
}

/// The parts of a rule that name fields.
struct Names<'r> {
    what: &'r str,
    on: Option<On>,
}

impl Names<'_> {
    /// A field that the rule may name.
    fn field<'a>(&mut self, document: &mut Document<'a>, value: &Value<'a>, part: &str) -> Option<Field> {
        let name = document.text(value, &format!("{}: {part}", self.what))?;
        let field = match Field::parse(name) {
            Ok(field) => field,
            Err(message) => {
                document.issue(value.span(), format!("{}: {part}: {message}", self.what));
                return None;
            }
        };
        if self.on == Some(On::Connection) && field.known() == Known::Fingerprint {
            let message = format!(
                "{}: {part}: only a rule on = \"fingerprint\" has the field \"{name}\"; a connection has \"ja4\", \"ja4s\" and so on",
                self.what
            );
            document.issue(value.span(), message);
            return None;
        }
        Some(field)
    }

    fn group_by<'a>(&mut self, document: &mut Document<'a>, value: &Value<'a>) -> Option<Vec<Field>> {
        let list = document.list(value, &format!("{}: group_by", self.what))?;
        if list.len() > MAX_GROUP_BY {
            document.issue(value.span(), format!("{}: group_by has more than {MAX_GROUP_BY} fields", self.what));
            return None;
        }
        let mut fields = Some(Vec::new());
        for value in list.iter() {
            match self.field(document, value, "group_by") {
                Some(field) if fields.as_ref().is_some_and(|fields| fields.contains(&field)) => {
                    document.issue(value.span(), format!("{}: group_by names \"{}\" twice", self.what, field.name()));
                    fields = None;
                }
                Some(field) => {
                    if let Some(fields) = &mut fields {
                        fields.push(field);
                    }
                }
                None => fields = None,
            }
        }
        fields
    }

    fn measure<'a>(&mut self, document: &mut Document<'a>, value: &Value<'a>) -> Option<Measure> {
        let expected = "\"count\" or { count_distinct = \"…\" }";
        let what = format!("{}: measure", self.what);
        match value.get_ref() {
            DeValue::String(word) if word == "count" => Some(Measure::Count),
            DeValue::String(word) => {
                document.issue(value.span(), format!("{what} must be {expected}, not {word:?}"));
                None
            }
            DeValue::Table(table) => {
                document.only(table, &["count_distinct"], &what);
                let field = document.required(table, &value.span(), "count_distinct", &what)?;
                self.field(document, field, "count_distinct").map(Measure::CountDistinct)
            }
            _ => {
                document.expected(value, &what, expected);
                None
            }
        }
    }

    fn conditions<'a>(&mut self, document: &mut Document<'a>, value: &Value<'a>) -> Option<Vec<Condition>> {
        let list = document.list(value, &format!("{}: where", self.what))?;
        if list.len() > MAX_CONDITIONS {
            document.issue(value.span(), format!("{}: where has more than {MAX_CONDITIONS} conditions", self.what));
            return None;
        }
        let mut conditions = Some(Vec::new());
        for value in list.iter() {
            match (self.condition(document, value), &mut conditions) {
                (Some(condition), Some(conditions)) => conditions.push(condition),
                (None, _) => conditions = None,
                (Some(_), None) => {}
            }
        }
        conditions
    }

    fn condition<'a>(&mut self, document: &mut Document<'a>, value: &Value<'a>) -> Option<Condition> {
        let what = format!("{}: where", self.what);
        let table = document.table(value, &format!("{what}: a condition"))?;
        document.only(table, &["field", "op", "value"], &what);
        let field = document.required(table, &value.span(), "field", &what);
        let field = field.and_then(|name| self.field(document, name, "where"));
        let op = document.required(table, &value.span(), "op", &what).and_then(|op| {
            let word = document.text(op, &format!("{what}: op"))?;
            let names = Op::ALL.map(Op::name);
            let found = Op::ALL.into_iter().find(|op| op.name() == word);
            if found.is_none() {
                let near = suggestion(word, names);
                let near = if near.is_empty() { format!("; there are {}", names.join(", ")) } else { near };
                document.issue(op.span(), format!("{what}: unknown op {word:?}{near}"));
            }
            found.map(|found| (found, op.span()))
        });
        let (field, (op, span)) = (field?, op?);
        if !op.fits(field.kind()) {
            let fitting: Vec<_> = Op::ALL.into_iter().filter(|op| op.fits(field.kind())).map(Op::name).collect();
            document.issue(
                span,
                format!(
                    "{what}: \"{}\" is {}, which {} can't compare; there are {}",
                    field.name(),
                    field.kind().name(),
                    op.name(),
                    fitting.join(", ")
                ),
            );
            return None;
        }
        let right = match (table.get("value"), op) {
            (None, Op::Exists) => return Some(Condition { field, op, values: vec![Literal::Bool(true)] }),
            (None, _) => {
                document.required(table, &value.span(), "value", &what)?;
                return None;
            }
            (Some(right), _) => right,
        };
        let values = literals(document, right, field, op, &format!("{what}: \"{}\" {}", field.name(), op.name()))?;
        let mut condition = Condition { field, op, values };
        condition.sort();
        Some(condition)
    }
}

/// What a field is compared with: a list where the operator asks for one or may have one.
fn literals(document: &mut Document<'_>, value: &Value<'_>, field: Field, op: Op, what: &str) -> Option<Vec<Literal>> {
    let list = match value.get_ref() {
        DeValue::Array(list) if matches!(op, Op::In | Op::NotIn | Op::Prefix | Op::Contains | Op::Cidr) => list,
        _ if matches!(op, Op::In | Op::NotIn) => {
            document.expected(value, what, "a list");
            return None;
        }
        _ => return literal(document, value, field, op, what).map(|literal| vec![literal]),
    };
    if list.is_empty() || list.len() > MAX_VALUES {
        document.issue(value.span(), format!("{what}: a list has 1 to {MAX_VALUES} values, not {}", list.len()));
        return None;
    }
    // All of them are looked at, so that all errors are told.
    let literals: Vec<_> = list.iter().map(|value| literal(document, value, field, op, what)).collect();
    literals.into_iter().collect()
}

fn literal(document: &mut Document<'_>, value: &Value<'_>, field: Field, op: Op, what: &str) -> Option<Literal> {
    let kind = match op {
        Op::Exists => Kind::Bool,
        // Parts of words.
        Op::Prefix | Op::Contains => Kind::Text,
        _ => field.kind(),
    };
    let wrong = |document: &mut Document<'_>, expected: &str| {
        document.issue(value.span(), format!("{what}: must be {expected}, not {}", shown(value.get_ref())));
        None
    };
    let text = value.get_ref().as_str();
    match (op, kind, text) {
        (Op::Regex, _, Some(pattern)) => {
            match RegexBuilder::new(pattern).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build() {
                Ok(regex) => Some(Literal::Regex(regex)),
                Err(error) => {
                    document.issue(value.span(), format!("{what}: {}", why(&error)));
                    None
                }
            }
        }
        (Op::Cidr, _, Some(net)) => match net.parse::<ipnet::IpNet>() {
            Ok(net) if net.trunc() == net => Some(Literal::Net(net)),
            Ok(net) => wrong(document, &format!("a network; the one of that address is {}", net.trunc())),
            Err(_) => wrong(document, "a network such as \"10.0.0.0/8\""),
        },
        (Op::Cidr, _, None) => wrong(document, "a network such as \"10.0.0.0/8\""),
        (_, Kind::Ip, Some(address)) if address.parse::<std::net::IpAddr>().is_ok() => {
            address.parse().ok().map(Literal::Ip)
        }
        (_, Kind::Ip, _) => wrong(document, "an IP address such as \"10.0.0.1\" (networks: op = \"cidr\")"),
        (_, Kind::Duration, Some(text)) => match text.parse::<Span>() {
            Ok(span) => Some(Literal::Number(i64::try_from(span.nanoseconds()).unwrap_or(i64::MAX))),
            Err(_) => wrong(document, "a duration such as \"90s\", \"5m\" or \"1h\""),
        },
        (_, Kind::Duration, None) => wrong(document, "a duration such as \"90s\", \"5m\" or \"1h\""),
        (_, Kind::Bool, _) => match value.get_ref().as_bool() {
            Some(value) => Some(Literal::Bool(value)),
            None => wrong(document, "true or false"),
        },
        (_, Kind::Number, _) => match value.get_ref().as_integer() {
            Some(_) => document.integer(value, what).map(Literal::Number),
            None => wrong(document, "a whole number"),
        },
        (_, Kind::Word(words), Some(text)) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Some(Literal::Text((*word).into())),
            None => wrong(document, &format!("one of {}", words.join(", "))),
        },
        (_, Kind::Text, Some(text)) => Some(Literal::Text(text.into())),
        (_, Kind::Text | Kind::Word(_), None) => wrong(document, "a text"),
    }
}

/// A value as a message shows it.
fn shown(value: &DeValue<'_>) -> String {
    /// Characters of a text that a message repeats.
    const SHOWN: usize = 60;
    match value {
        DeValue::String(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        other => type_name(other).to_owned(),
    }
}

/// Why a regular expression is none, in a line.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("the regular expression takes more than {} KiB", REGEX_BYTES / 1024),
        // The last line says what is wrong, those above it show where.
        other => {
            let text = other.to_string();
            let line = text.lines().last().unwrap_or_default();
            format!("no regular expression: {}", line.trim_start_matches("error: "))
        }
    }
}
