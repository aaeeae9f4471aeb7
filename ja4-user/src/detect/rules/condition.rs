//! One condition of a rule: a field, an operator, and what it is compared with.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use crate::model::field::{Field, Kind, Value};

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
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
    /// Has in it.
    Contains,
    /// Matches a regular expression somewhere.
    Regex,
    /// Lies in a network.
    Cidr,
    /// Has a value.
    Exists,
}

impl Op {
    /// Every operator.
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

    /// Whether the operator makes sense of such a field.
    #[must_use]
    pub const fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Exists | Self::Eq | Self::Ne => true,
            Self::Lt | Self::Lte | Self::Gt | Self::Gte => matches!(kind, Kind::Number | Kind::Duration),
            Self::In | Self::NotIn => !matches!(kind, Kind::Bool),
            Self::Prefix | Self::Contains | Self::Regex => matches!(kind, Kind::Text | Kind::Word(_)),
            Self::Cidr => matches!(kind, Kind::Ip),
        }
    }
}

/// A value in a rule, checked against the field's kind.
#[derive(Clone, Debug)]
pub enum Literal {
    /// A number; of a duration, nanoseconds.
    Number(i64),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Net(IpNet),
    /// A text.
    Text(Box<str>),
    /// `true` or `false`.
    Bool(bool),
    /// A regular expression, compiled within a size.
    Regex(Regex),
}

/// Equal where they were written alike.
impl PartialEq for Literal {
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

impl Eq for Literal {}

/// A condition. One literal, or several of which one has to match (`in`, `not_in`, and lists given to
/// `prefix`, `contains`, `cidr`); of one kind all, which suits field and operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub field: Field,
    /// How.
    pub op: Op,
    /// Compared with what. Those of `in` and `not_in` are sorted.
    pub values: Vec<Literal>,
}

impl Condition {
    /// What the check costs, for an order that puts cheap ones first.
    #[must_use]
    pub(super) fn cost(&self) -> u8 {
        let field = match self.field {
            // It looks at several things.
            Field::Handshake => 3,
            _ if self.field.kind() == Kind::Text => 2,
            _ => 0,
        };
        match self.op {
            Op::Regex => 8,
            Op::Contains => 4 + field,
            Op::Cidr | Op::In | Op::NotIn => 1 + field,
            _ => field,
        }
    }

    /// Whether the condition holds for the value of its field.
    #[inline]
    #[must_use]
    pub fn holds(&self, value: &Value<'_>) -> bool {
        match self.op {
            Op::Exists => {
                let wanted = !matches!(self.values.first(), Some(Literal::Bool(false)));
                (*value != Value::Absent) == wanted
            }
            Op::Ne | Op::NotIn => !self.any(value),
            _ => self.any(value),
        }
    }

    /// Whether the value, or one of several, matches one of the literals.
    fn any(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Absent => false,
            Value::Tags(tags) => tags.iter().any(|tag| *tag != 0 && self.matches(&Value::Number((*tag).into()))),
            Value::Texts(texts) => texts.iter().any(|text| self.matches(&Value::Text(text))),
            single => self.matches(single),
        }
    }

    fn matches(&self, value: &Value<'_>) -> bool {
        if matches!(self.op, Op::In | Op::NotIn) {
            return self.values.binary_search_by(|literal| order(literal, value)).is_ok();
        }
        self.values.iter().any(|literal| self.matches_one(literal, value))
    }

    fn matches_one(&self, literal: &Literal, value: &Value<'_>) -> bool {
        match (literal, value) {
            (Literal::Number(right), Value::Number(left)) => match self.op {
                Op::Lt => left < right,
                Op::Lte => left <= right,
                Op::Gt => left > right,
                Op::Gte => left >= right,
                _ => left == right,
            },
            (Literal::Text(right), Value::Text(left)) => match self.op {
                Op::Prefix => left.starts_with(&**right),
                Op::Contains => left.contains(&**right),
                _ => **right == **left,
            },
            (Literal::Ip(right), Value::Ip(left)) => left == right,
            (Literal::Net(net), Value::Ip(address)) => net.contains(address),
            (Literal::Bool(right), Value::Bool(left)) => left == right,
            (Literal::Regex(regex), Value::Text(text)) => regex.is_match(text),
            _ => false,
        }
    }

    /// Puts the literals of `in` and `not_in` in the order in which they are looked for.
    pub(super) fn sort(&mut self) {
        if matches!(self.op, Op::In | Op::NotIn) {
            self.values.sort_by(|a, b| match b {
                Literal::Number(number) => order(a, &Value::Number(*number)),
                Literal::Ip(address) => order(a, &Value::Ip(*address)),
                Literal::Text(text) => order(a, &Value::Text(text)),
                _ => std::cmp::Ordering::Equal,
            });
        }
    }
}

/// Order of literals of one kind.
fn order(literal: &Literal, value: &Value<'_>) -> std::cmp::Ordering {
    match (literal, value) {
        (Literal::Number(a), Value::Number(b)) => a.cmp(b),
        (Literal::Ip(a), Value::Ip(b)) => a.cmp(b),
        (Literal::Text(a), Value::Text(b)) => (**a).cmp(b),
        // Kinds were checked when the rule was read.
        _ => std::cmp::Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn condition(op: Op, values: Vec<Literal>) -> Condition {
        let mut condition = Condition { field: Field::Sni, op, values };
        condition.sort();
        condition
    }

    fn text(text: &str) -> Literal {
        Literal::Text(text.into())
    }

    #[test]
    fn operators_compare_as_their_names_say() {
        let number = |op, right| condition(op, vec![Literal::Number(right)]);
        for (op, holds) in [
            (Op::Eq, [false, true, false]),
            (Op::Ne, [true, false, true]),
            (Op::Lt, [true, false, false]),
            (Op::Lte, [true, true, false]),
            (Op::Gt, [false, false, true]),
            (Op::Gte, [false, true, true]),
        ] {
            assert_eq!([21, 22, 23].map(|left| number(op, 22).holds(&Value::Number(left))), holds, "{op:?}");
        }
        let sni = Value::Text("www.example.org");
        for (op, right, holds) in [
            (Op::Eq, "www.example.org", true),
            (Op::Eq, "WWW.example.org", false),
            (Op::Prefix, "www.", true),
            (Op::Prefix, "example", false),
            (Op::Contains, "example", true),
            (Op::Contains, "w.w", false),
        ] {
            assert_eq!(condition(op, vec![text(right)]).holds(&sni), holds, "{op:?} {right}");
        }
        let regex = condition(Op::Regex, vec![Literal::Regex(Regex::new("(?i)EXAMPLE[.](org|net)$").unwrap())]);
        assert!(regex.holds(&sni) && !regex.holds(&Value::Text("example.organ")));
        let cidr =
            condition(Op::Cidr, ["10.0.0.0/8", "2001:db8::/32"].map(|net| Literal::Net(net.parse().unwrap())).into());
        for (address, holds) in [("10.255.0.1", true), ("11.0.0.1", false), ("2001:db8::1", true), ("::1", false)] {
            assert_eq!(cidr.holds(&Value::Ip(address.parse().unwrap())), holds, "{address}");
        }
    }

    #[test]
    fn what_is_absent_is_only_different() {
        for op in Op::ALL {
            let holds = condition(op, vec![text("x")]).holds(&Value::Absent);
            assert_eq!(holds, matches!(op, Op::Ne | Op::NotIn), "{op:?}");
        }
        let exists = |wanted| condition(Op::Exists, vec![Literal::Bool(wanted)]);
        assert!(exists(false).holds(&Value::Absent) && !exists(true).holds(&Value::Absent));
        assert!(!exists(false).holds(&Value::Text("")) && exists(true).holds(&Value::Text("")));
    }

    #[test]
    fn one_of_several_values_is_enough_and_none_may_be_forbidden() {
        let offered = ["h2", "http/1.1"].map(Into::into);
        let offered = Value::Texts(&offered);
        assert!(condition(Op::Eq, vec![text("h2")]).holds(&offered));
        assert!(condition(Op::Prefix, vec![text("http/")]).holds(&offered));
        assert!(!condition(Op::Ne, vec![text("h2")]).holds(&offered));
        assert!(!condition(Op::NotIn, vec![text("h3"), text("h2")]).holds(&offered));
        let vlan = Condition { field: Field::Vlan, op: Op::Eq, values: vec![Literal::Number(0)] };
        assert!(!vlan.holds(&Value::Tags([100, 0])), "0 is no tag");
    }

    proptest! {
        #[test]
        fn in_finds_what_a_walk_through_the_list_finds(list in prop::collection::vec("[a-c]{0,2}", 0..9), value in "[a-c]{0,2}") {
            let literals: Vec<_> = list.iter().map(|word| text(word)).collect();
            let found = list.contains(&value);
            prop_assert_eq!(condition(Op::In, literals.clone()).holds(&Value::Text(&value)), found);
            prop_assert_eq!(condition(Op::NotIn, literals).holds(&Value::Text(&value)), !found);
        }
    }
}
