//! Rule files: TOML to rules, all errors at once.

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use arcstr::ArcStr;
use regex::{Regex, RegexBuilder};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::condition::{Operand, Operator, RuleCondition};
use super::definition::{MAX_COUNT, RuleDefinition, RuleEvent, RuleMeasure, RuleThreshold, WindowMode};
use crate::detect::time_ranges::{COOLDOWN, WINDOW};
use crate::document::{
    Diagnostic, Document, Located, Position, TableHeader, TomlTable, check_range, one_of, range_text, shown,
};
use crate::model::Severity;
use crate::model::field::{Field, FieldKind, Known};
use crate::model::signature_id::{BUILTIN, OWN};
use crate::units::HumanDuration;

/// Longest name of a rule, bytes: it is a label of metrics and a key of the database.
const MAX_NAME: usize = 64;
/// Longest description, bytes: it is in every alert.
const MAX_DESCRIPTION: usize = 500;
/// Conditions of a rule.
const MAX_CONDITIONS: usize = 32;
/// Fields of `group_by`: more fields make groups of one event.
const MAX_GROUP_BY: usize = 4;
/// Values of one array.
const MAX_VALUES: usize = 4_096;
/// Size of a compiled regular expression, bytes; a larger one is slow too.
const MAX_REGEX: usize = 256 * 1024;

/// A rule of a file.
pub(super) struct ParsedRule {
    pub(super) name: Arc<str>,
    /// `None`: the rule has errors.
    pub(super) rule: Option<Arc<RuleDefinition>>,
    pub(super) position: Position,
}

/// A file of rules that are not compiled yet.
pub(super) struct RuleFile<'a> {
    document: Document<'a>,
    root: Option<Spanned<TomlTable<'a>>>,
}

/// A table `[[rule]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    name: Option<Located<RuleName>>,
    sid: Option<Located<i64>>,
    description: Option<Description>,
    severity: Option<Severity>,
    on: Option<RuleEvent>,
    #[serde(rename = "where")]
    conditions: Option<Located<Vec<Located<ConditionTable>>>>,
    group_by: Option<Located<Vec<Located<FieldName>>>>,
    measure: Option<MeasureValue>,
    threshold: Option<Located<ThresholdTable>>,
    window: Option<Located<HumanDuration>>,
    mode: Option<WindowMode>,
    cooldown: Option<Located<HumanDuration>>,
}

/// A table of `where`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionTable {
    field: Located<FieldName>,
    op: Located<Operator>,
    value: Option<Located<OperandValue>>,
}

/// The table of `threshold`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdTable {
    op: ThresholdOperator,
    value: Located<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThresholdOperator {
    Gt,
    Gte,
}

/// The name of a rule.
struct RuleName(Arc<str>);

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
            let shown = shown(&name);
            return Err(de::Error::custom(format_args!(
                "expected 1 to {MAX_NAME} of a-z, 0-9, '_', '-' and '.', found '{shown}'"
            )));
        }
        Ok(Self(name.into()))
    }
}

/// The description of a rule.
struct Description(ArcStr);

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() > MAX_DESCRIPTION {
            return Err(de::Error::custom(format_args!("is longer than {MAX_DESCRIPTION} bytes")));
        }
        Ok(Self(text.into()))
    }
}

/// A field by its name.
#[derive(Clone, Copy)]
struct FieldName(Field);

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Field::parse(&String::deserialize(from)?).map(Self).map_err(de::Error::custom)
    }
}

/// `"count"`, or `{ count_distinct = "…" }`.
enum MeasureValue {
    Count,
    CountDistinct(Located<FieldName>),
}

impl<'de> Deserialize<'de> for MeasureValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct CountDistinctTable {
            count_distinct: Located<FieldName>,
        }

        struct MeasureVisitor;

        impl<'de> de::Visitor<'de> for MeasureVisitor {
            type Value = MeasureValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"count\" or { count_distinct = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<MeasureValue, E> {
                match word {
                    "count" => Ok(MeasureValue::Count),
                    word => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<MeasureValue, A::Error> {
                let table = CountDistinctTable::deserialize(MapAccessDeserializer::new(table))?;
                Ok(MeasureValue::CountDistinct(table.count_distinct))
            }
        }

        from.deserialize_any(MeasureVisitor)
    }
}

/// The value of a condition, before it is checked against its field.
#[derive(Debug)]
enum OperandValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Located<OperandValue>>),
    /// The type of any other value.
    Other(&'static str),
}

impl<'de> Deserialize<'de> for OperandValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OperandVisitor;

        impl<'de> de::Visitor<'de> for OperandVisitor {
            type Value = OperandValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an integer, a boolean or an array")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OperandValue, E> {
                Ok(OperandValue::Text(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<OperandValue, E> {
                Ok(OperandValue::Integer(number))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<OperandValue, E> {
                Ok(OperandValue::Boolean(value))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<OperandValue, E> {
                Ok(OperandValue::Other("a float"))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut array: A) -> Result<OperandValue, A::Error> {
                let values = std::iter::from_fn(|| array.next_element().transpose()).collect::<Result<_, _>>()?;
                Ok(OperandValue::Array(values))
            }
        }

        from.deserialize_any(OperandVisitor)
    }
}

/// The value as a message shows it.
impl fmt::Display for OperandValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", shown(text)),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Array(_) => f.write_str("an array"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl<'a> RuleFile<'a> {
    /// Parses a text as TOML.
    pub(super) fn parse(path: &Path, text: &'a str) -> Self {
        let (document, root) = Document::parse(path, text);
        Self { document, root }
    }

    /// The number of rules.
    pub(super) fn len(&self) -> usize {
        let list = self.root.as_ref().and_then(|root| root.get_ref().get("rule")?.get_ref().as_array());
        list.map_or(0, |list| list.len())
    }

    /// The errors of the text, without those of its rules.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.document.finish()
    }

    /// Compiles the rules. Returns them with their errors.
    pub(super) fn compile(self) -> (Vec<ParsedRule>, Vec<Diagnostic>) {
        let Self { mut document, root } = self;
        let mut rules = Vec::new();
        if let Some(root) = root {
            let root = root.get_ref();
            document.only_lists(root, &["rule"]);
            let label = |table: &TomlTable<'_>, number: usize| {
                let name = table.get("name").and_then(|value| value.get_ref().as_str());
                name.map_or_else(|| format!("rule {number}"), |name| format!("rule '{}'", shown(name)))
            };
            document.for_each_table(root, "rule", label, |document, header, table| {
                rules.extend(RuleCompiler { document, header: &header, on: None }.compile(table));
            });
        }
        (rules, document.finish())
    }
}

/// Compiles one rule.
struct RuleCompiler<'r, 'a> {
    document: &'r mut Document<'a>,
    header: &'r TableHeader,
    on: Option<RuleEvent>,
}

impl RuleCompiler<'_, '_> {
    /// Returns the rule; `None`: it has no name.
    fn compile(mut self, table: RuleTable) -> Option<ParsedRule> {
        let header = self.header;
        self.on = self.document.required(table.on, "on", header);
        let conditions = match table.conditions {
            Some(conditions) => self.conditions(conditions),
            None => Some(Vec::new()),
        };
        let group_by = match table.group_by {
            Some(group_by) => self.group_by(group_by),
            None => Some(Vec::new()),
        };
        let measure = match table.measure {
            Some(MeasureValue::CountDistinct(field)) => {
                self.field(&field, "count_distinct").map(RuleMeasure::CountDistinct)
            }
            Some(MeasureValue::Count) | None => Some(RuleMeasure::Count),
        };
        let threshold = self.document.required(table.threshold, "threshold", header);
        let threshold = threshold.and_then(|threshold| self.threshold(&threshold.value, measure));
        let window = self.document.required(table.window, "window", header);
        let window = window.and_then(|window| self.duration(&window, "window", &WINDOW));
        let cooldown = match table.cooldown {
            Some(cooldown) => self.duration(&cooldown, "cooldown", &COOLDOWN),
            None => window.map(|window| window.max(*COOLDOWN.start())),
        };
        let sid = match table.sid {
            Some(sid) => self.sid(&sid).map(Some),
            None => Some(None),
        };
        let name = self.document.required(table.name, "name", header)?;
        let position = self.document.position(name.at);
        let RuleName(name) = name.value;
        let description = table.description.map_or_else(|| ArcStr::from(&*name), |Description(text)| text);
        let rule = (|| {
            Some(RuleDefinition {
                name: Arc::clone(&name),
                sid: sid?,
                description,
                severity: table.severity.unwrap_or(Severity::Medium),
                on: self.on?,
                conditions: conditions?,
                group_by: group_by?,
                measure: measure?,
                threshold: threshold?,
                window: window?.0,
                mode: table.mode.unwrap_or(WindowMode::Sliding),
                cooldown: cooldown?.0,
            })
        })();
        Some(ParsedRule { name, rule: rule.map(Arc::new), position })
    }

    fn error(&mut self, at: usize, message: fmt::Arguments<'_>) {
        let label = &self.header.label;
        self.document.error(at, format!("{label}: {message}"));
    }

    fn sid(&mut self, sid: &Located<i64>) -> Option<NonZeroU32> {
        let number = u32::try_from(sid.value).ok().filter(|number| OWN.contains(number) && !BUILTIN.contains(number));
        if number.is_none() {
            let (of_own, of_builtin) = (range_text(&OWN), range_text(&BUILTIN));
            let message = format_args!(
                "sid: {} is out of range; expected a value {of_own} that is not {of_builtin}, the numbers of built-in \
                 rules",
                sid.value
            );
            self.error(sid.at, message);
        }
        number.and_then(NonZeroU32::new)
    }

    fn duration(
        &mut self,
        value: &Located<HumanDuration>,
        key: &str,
        range: &std::ops::RangeInclusive<HumanDuration>,
    ) -> Option<HumanDuration> {
        if let Some(message) = check_range(&value.value, range) {
            self.error(value.at, format_args!("{key}: {message}"));
            return None;
        }
        Some(value.value)
    }

    fn threshold(&mut self, table: &ThresholdTable, measure: Option<RuleMeasure>) -> Option<RuleThreshold> {
        let ThresholdTable { op, value } = table;
        let limit = measure.map_or(MAX_COUNT, RuleDefinition::limit);
        let range = if *op == ThresholdOperator::Gt { 0..=limit - 1 } else { 1..=limit };
        let Some(number) = u32::try_from(value.value).ok().filter(|number| range.contains(number)) else {
            let measure =
                if matches!(measure, Some(RuleMeasure::CountDistinct(_))) { "count_distinct" } else { "count" };
            let (found, range) = (value.value, range_text(&range));
            self.error(
                value.at,
                format_args!("threshold.value: {found} is out of range for {measure}; expected a value {range}"),
            );
            return None;
        };
        Some(match op {
            ThresholdOperator::Gt => RuleThreshold::MoreThan(number),
            ThresholdOperator::Gte => RuleThreshold::AtLeast(number),
        })
    }

    /// Returns a field that the rule may use.
    fn field(&mut self, field: &Located<FieldName>, key: &str) -> Option<Field> {
        let FieldName(name) = field.value;
        if self.on == Some(RuleEvent::Connection) && name.known() == Known::Fingerprint {
            let message = format_args!(
                "{key}: field '{}' needs on = \"fingerprint\"; a connection has the fields 'ja4', 'ja4s' and so on",
                name.name()
            );
            self.error(field.at, message);
            return None;
        }
        Some(name)
    }

    fn group_by(&mut self, list: Located<Vec<Located<FieldName>>>) -> Option<Vec<Field>> {
        if list.value.len() > MAX_GROUP_BY {
            self.error(list.at, format_args!("group_by: has more than {MAX_GROUP_BY} fields"));
            return None;
        }
        let mut fields = Vec::new();
        let mut is_valid = true;
        for located in &list.value {
            match self.field(located, "group_by") {
                Some(field) if fields.contains(&field) => {
                    self.error(located.at, format_args!("group_by: '{}' is listed twice", field.name()));
                    is_valid = false;
                }
                Some(field) => fields.push(field),
                None => is_valid = false,
            }
        }
        is_valid.then_some(fields)
    }

    fn conditions(&mut self, list: Located<Vec<Located<ConditionTable>>>) -> Option<Vec<RuleCondition>> {
        if list.value.len() > MAX_CONDITIONS {
            self.error(list.at, format_args!("where: has more than {MAX_CONDITIONS} conditions"));
            return None;
        }
        // All are compiled, so that all errors are reported.
        let conditions: Vec<_> =
            (1..).zip(list.value).map(|(number, condition)| self.condition(number, &condition)).collect();
        conditions.into_iter().collect()
    }

    fn condition(&mut self, number: usize, condition: &Located<ConditionTable>) -> Option<RuleCondition> {
        let ConditionTable { field, op, value } = &condition.value;
        let key = format!("where {number}");
        let field = self.field(field, &key)?;
        let (op, op_at) = (op.value, op.at);
        if !op.fits(field.kind()) {
            let fitting: Vec<_> =
                Operator::ALL.into_iter().filter(|op| op.fits(field.kind())).map(Operator::name).collect();
            let message = format_args!(
                "{key}: operator '{}' does not fit '{}', which is {}; expected {}",
                op.name(),
                field.name(),
                field.kind().name(),
                one_of(&fitting)
            );
            self.error(op_at, message);
            return None;
        }
        let values = match value {
            Some(value) => self.operands(value, field, op, &format!("{key}: '{}' {}", field.name(), op.name()))?,
            None if op == Operator::Exists => vec![Operand::Bool(true)],
            None => {
                self.error(condition.at, format_args!("{key}: missing key 'value'"));
                return None;
            }
        };
        let mut condition = RuleCondition { field, op, values };
        condition.sort();
        Some(condition)
    }

    /// The values that a field is compared with: an array if the operator needs or accepts one.
    fn operands(
        &mut self,
        value: &Located<OperandValue>,
        field: Field,
        op: Operator,
        key: &str,
    ) -> Option<Vec<Operand>> {
        let needs_array = matches!(op, Operator::In | Operator::NotIn);
        let list = match &value.value {
            OperandValue::Array(list) if needs_array => list,
            OperandValue::Array(list) if matches!(op, Operator::Prefix | Operator::Contains | Operator::Cidr) => list,
            other if needs_array => {
                self.error(value.at, format_args!("{key}: expected an array, found {other}"));
                return None;
            }
            _ => return self.operand(value, field, op, key).map(|operand| vec![operand]),
        };
        if list.is_empty() || list.len() > MAX_VALUES {
            self.error(value.at, format_args!("{key}: expected 1 to {MAX_VALUES} values, found {}", list.len()));
            return None;
        }
        // All are checked, so that all errors are reported.
        let operands: Vec<_> = list.iter().map(|value| self.operand(value, field, op, key)).collect();
        operands.into_iter().collect()
    }

    fn operand(&mut self, value: &Located<OperandValue>, field: Field, op: Operator, key: &str) -> Option<Operand> {
        match operand(&value.value, field, op) {
            Ok(operand) => Some(operand),
            Err(message) => {
                self.error(value.at, format_args!("{key}: {message}"));
                None
            }
        }
    }
}

/// Checks a value against the kind of its field.
fn operand(value: &OperandValue, field: Field, op: Operator) -> Result<Operand, String> {
    let kind = match op {
        Operator::Exists => FieldKind::Bool,
        // Parts of words.
        Operator::Prefix | Operator::Contains => FieldKind::Text,
        _ => field.kind(),
    };
    let expected = |expected: &str| Err(format!("expected {expected}, found {value}"));
    let text = if let OperandValue::Text(text) = value { Some(text.as_str()) } else { None };
    match (op, kind, text) {
        (Operator::Regex, _, Some(pattern)) => regex(pattern).map(Operand::Regex),
        (Operator::Cidr, ..) => match text.and_then(|net| net.parse::<ipnet::IpNet>().ok()) {
            Some(net) if net.trunc() == net => Ok(Operand::Net(net)),
            Some(net) => Err(format!("{value} is an address in a network; write '{}'", net.trunc())),
            None => expected("a network such as '10.0.0.0/8'"),
        },
        (_, FieldKind::Ip, _) => match text.and_then(|address| address.parse().ok()) {
            Some(address) => Ok(Operand::Ip(address)),
            None => expected("an IP address such as '10.0.0.1' (networks: op = \"cidr\")"),
        },
        (_, FieldKind::Duration, _) => match text.and_then(|text| text.parse::<HumanDuration>().ok()) {
            Some(duration) => Ok(Operand::Number(i64::try_from(duration.nanoseconds()).unwrap_or(i64::MAX))),
            None => expected("a duration such as '90s', '5m' or '1h'"),
        },
        (_, FieldKind::Bool, _) => match value {
            OperandValue::Boolean(value) => Ok(Operand::Bool(*value)),
            _ => expected("a boolean"),
        },
        (_, FieldKind::Number | FieldKind::Time | FieldKind::Date, _) => match value {
            OperandValue::Integer(number) => Ok(Operand::Number(*number)),
            _ => expected("an integer"),
        },
        (_, FieldKind::Word(words), Some(text)) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            Some(word) => Ok(Operand::Text((*word).into())),
            None => expected(&one_of(words)),
        },
        (_, FieldKind::Text, Some(text)) => Ok(Operand::Text(text.into())),
        (_, FieldKind::Text | FieldKind::Word(_), None) => expected("a string"),
    }
}

/// Compiles a regular expression; an error is one line.
fn regex(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("the regular expression needs more than {} KiB", MAX_REGEX / 1024),
        // The last line is the cause; the lines above it show the place.
        other => {
            let text = other.to_string();
            let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("not a regular expression: {cause}")
        }
    })
}
