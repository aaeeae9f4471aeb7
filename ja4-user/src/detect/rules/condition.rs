//! One condition of a rule: a field, an operator and its operands.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;
use serde::Deserialize;

use crate::model::field::{Field, FieldKind, FieldValue};

/// A comparison of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// One of a list.
    In,
    /// None of a list.
    NotIn,
    /// Begins with.
    Prefix,
    /// Contains.
    Contains,
    /// Matches a regular expression somewhere.
    Regex,
    /// Is in a network.
    Cidr,
    /// Has a value.
    Exists,
}

impl Operator {
    /// All operators.
    pub const ALL: [Self; 13] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::In,
        Self::NotIn,
        Self::Prefix,
        Self::Contains,
        Self::Regex,
        Self::Cidr,
        Self::Exists,
    ];

    /// The name in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Prefix => "prefix",
            Self::Contains => "contains",
            Self::Regex => "regex",
            Self::Cidr => "cidr",
            Self::Exists => "exists",
        }
    }

    /// Whether the operator applies to fields of a kind.
    #[must_use]
    pub const fn fits(self, kind: FieldKind) -> bool {
        match self {
            Self::Exists | Self::Eq | Self::Ne => true,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte => kind.is_number() || matches!(kind, FieldKind::Duration),
            Self::In | Self::NotIn => !matches!(kind, FieldKind::Bool),
            Self::Prefix | Self::Contains | Self::Regex => matches!(kind, FieldKind::Text | FieldKind::Word(_)),
            Self::Cidr => matches!(kind, FieldKind::Ip),
        }
    }
}

/// A value in a rule, checked against the kind of its field.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A number; a duration in nanoseconds.
    Number(i64),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Net(IpNet),
    /// A string.
    Text(Box<str>),
    /// A boolean.
    Bool(bool),
    /// A regular expression of bounded size.
    Regex(Regex),
}

/// Regular expressions are equal if their texts are.
impl PartialEq for Operand {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Net(a), Self::Net(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl Eq for Operand {}

/// A condition with one operand, or with several of which one must match (`in`, `not_in`, and arrays for `prefix`,
/// `contains` and `cidr`). All operands are of the kind that field and operator need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCondition {
    /// The field.
    pub field: Field,
    /// The operator.
    pub op: Operator,
    /// The operands; those of `in` and `not_in` are sorted.
    pub values: Vec<Operand>,
}

impl RuleCondition {
    /// The relative cost of the check; cheap conditions are evaluated first.
    #[must_use]
    pub(super) fn cost(&self) -> u8 {
        let field = match self.field {
            // Computed from several fields.
            Field::ConnectionHandshake => 3,
            _ if self.field.kind() == FieldKind::Text => 2,
            _ => 0,
        };
        match self.op {
            Operator::Regex => 8,
            Operator::Contains => 4 + field,
            Operator::Cidr | Operator::In | Operator::NotIn => 1 + field,
            _ => field,
        }
    }

    /// Whether the condition holds for the value of its field.
    #[inline]
    #[must_use]
    pub fn holds(&self, value: &FieldValue<'_>) -> bool {
        match self.op {
            Operator::Exists => {
                let expected = !matches!(self.values.first(), Some(Operand::Bool(false)));
                (*value != FieldValue::Absent) == expected
            }
            Operator::Ne | Operator::NotIn => !self.any(value),
            _ => self.any(value),
        }
    }

    /// Whether the value, or one of several values, matches an operand.
    #[inline]
    fn any(&self, value: &FieldValue<'_>) -> bool {
        match value {
            FieldValue::Absent => false,
            FieldValue::Tags(tags) => tags.iter().any(|tag| self.matches(&FieldValue::Number(tag.into()))),
            FieldValue::Texts(texts) => texts.iter().any(|text| self.matches(&FieldValue::Text(text))),
            FieldValue::MethodValues(values) => values.iter().any(|value| self.matches(&FieldValue::Text(value))),
            single => self.matches(single),
        }
    }

    #[inline]
    fn matches(&self, value: &FieldValue<'_>) -> bool {
        if matches!(self.op, Operator::In | Operator::NotIn) {
            return self.values.binary_search_by(|operand| order(operand, value)).is_ok();
        }
        self.values.iter().any(|operand| self.matches_one(operand, value))
    }

    fn matches_one(&self, operand: &Operand, value: &FieldValue<'_>) -> bool {
        match (operand, value) {
            (Operand::Number(right), FieldValue::Number(left)) => match self.op {
                Operator::Lt => left < right,
                Operator::Lte => left <= right,
                Operator::Gt => left > right,
                Operator::Gte => left >= right,
                _ => left == right,
            },
            (Operand::Text(right), FieldValue::Text(left)) => match self.op {
                Operator::Prefix => left.starts_with(&**right),
                Operator::Contains => left.contains(&**right),
                _ => **right == **left,
            },
            (Operand::Ip(right), FieldValue::Ip(left)) => left == right,
            (Operand::Net(net), FieldValue::Ip(address)) => net.contains(address),
            (Operand::Bool(right), FieldValue::Bool(left)) => left == right,
            (Operand::Regex(regex), FieldValue::Text(text)) => regex.is_match(text),
            _ => false,
        }
    }

    /// Sorts the operands of `in` and `not_in` for binary search.
    pub(super) fn sort(&mut self) {
        if matches!(self.op, Operator::In | Operator::NotIn) {
            self.values.sort_by(|a, b| match b {
                Operand::Number(number) => order(a, &FieldValue::Number(*number)),
                Operand::Ip(address) => order(a, &FieldValue::Ip(*address)),
                Operand::Text(text) => order(a, &FieldValue::Text(text)),
                _ => std::cmp::Ordering::Equal,
            });
        }
    }
}

/// The order of operands of one kind.
fn order(operand: &Operand, value: &FieldValue<'_>) -> std::cmp::Ordering {
    match (operand, value) {
        (Operand::Number(a), FieldValue::Number(b)) => a.cmp(b),
        (Operand::Ip(a), FieldValue::Ip(b)) => a.cmp(b),
        (Operand::Text(a), FieldValue::Text(b)) => (**a).cmp(b),
        // Kinds were checked when the rule was compiled.
        _ => std::cmp::Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn condition(op: Operator, values: Vec<Operand>) -> RuleCondition {
        let mut condition = RuleCondition { field: Field::TlsSni, op, values };
        condition.sort();
        condition
    }

    fn text(text: &str) -> Operand {
        Operand::Text(text.into())
    }

    #[test]
    fn operators_compare_as_their_names_say() {
        let number = |op, right| condition(op, vec![Operand::Number(right)]);
        for (op, holds) in [
            (Operator::Eq, [false, true, false]),
            (Operator::Ne, [true, false, true]),
            (Operator::Lt, [true, false, false]),
            (Operator::Lte, [true, true, false]),
            (Operator::Gt, [false, false, true]),
            (Operator::Gte, [false, true, true]),
        ] {
            assert_eq!([21, 22, 23].map(|left| number(op, 22).holds(&FieldValue::Number(left))), holds, "{op:?}");
        }
        let sni = FieldValue::Text("www.example.org");
        for (op, right, holds) in [
            (Operator::Eq, "www.example.org", true),
            (Operator::Eq, "WWW.example.org", false),
            (Operator::Prefix, "www.", true),
            (Operator::Prefix, "example", false),
            (Operator::Contains, "example", true),
            (Operator::Contains, "w.w", false),
        ] {
            assert_eq!(condition(op, vec![text(right)]).holds(&sni), holds, "{op:?} {right}");
        }
        let regex = condition(Operator::Regex, vec![Operand::Regex(Regex::new("(?i)EXAMPLE[.](org|net)$").unwrap())]);
        assert!(regex.holds(&sni) && !regex.holds(&FieldValue::Text("example.organ")));
        let cidr = condition(
            Operator::Cidr,
            ["10.0.0.0/8", "2001:db8::/32"].map(|net| Operand::Net(net.parse().unwrap())).into(),
        );
        for (address, holds) in [("10.255.0.1", true), ("11.0.0.1", false), ("2001:db8::1", true), ("::1", false)] {
            assert_eq!(cidr.holds(&FieldValue::Ip(address.parse().unwrap())), holds, "{address}");
        }
    }

    #[test]
    fn an_absent_field_only_fulfils_ne_and_not_in() {
        for op in Operator::ALL {
            let holds = condition(op, vec![text("x")]).holds(&FieldValue::Absent);
            assert_eq!(holds, matches!(op, Operator::Ne | Operator::NotIn), "{op:?}");
        }
        let exists = |expected| condition(Operator::Exists, vec![Operand::Bool(expected)]);
        assert!(exists(false).holds(&FieldValue::Absent) && !exists(true).holds(&FieldValue::Absent));
        assert!(!exists(false).holds(&FieldValue::Text("")) && exists(true).holds(&FieldValue::Text("")));
    }

    #[test]
    fn one_matching_value_of_several_is_enough() {
        let offered = ["h2", "http/1.1"].map(Into::into);
        let offered = FieldValue::Texts(&offered);
        assert!(condition(Operator::Eq, vec![text("h2")]).holds(&offered));
        assert!(condition(Operator::Prefix, vec![text("http/")]).holds(&offered));
        assert!(!condition(Operator::Ne, vec![text("h2")]).holds(&offered));
        assert!(!condition(Operator::NotIn, vec![text("h3"), text("h2")]).holds(&offered));
        let vlan = RuleCondition { field: Field::Vlan, op: Operator::Eq, values: vec![Operand::Number(0)] };
        let holds = |tags: &[u16]| vlan.holds(&FieldValue::Tags(tags.iter().copied().collect()));
        assert_eq!([holds(&[100]), holds(&[100, 0])], [false, true]);
    }

    proptest! {
        #[test]
        fn in_finds_the_same_as_a_linear_search(list in prop::collection::vec("[a-c]{0,2}", 0..9), value in "[a-c]{0,2}") {
            let operands: Vec<_> = list.iter().map(|word| text(word)).collect();
            let found = list.contains(&value);
            prop_assert_eq!(condition(Operator::In, operands.clone()).holds(&FieldValue::Text(&value)), found);
            prop_assert_eq!(condition(Operator::NotIn, operands).holds(&FieldValue::Text(&value)), !found);
        }
    }
}
