//! Facts about a connection, a fingerprint or an alert, under one name everywhere.

mod handshake;
mod kind;
mod subject;
mod table;
mod value;

pub use handshake::HandshakeState;
pub use kind::{FieldKind, Known, Section};
pub use subject::{EventRef, Subject};
pub(crate) use table::VALUES;
pub use table::{Field, FieldKey, FieldRow, bit, place};
pub use value::{FieldValue, MethodValues};

use crate::document::suggestion;
use crate::model::FlowIdentity;

/// What encoders read fields from: a [`Subject`], or a row of the database.
pub trait FieldSource {
    /// The field's value; `None`: not known.
    fn value(&self, field: Field) -> Option<FieldValue<'_>>;

    /// Whether a section has fields; a cheap check that spares asking for each.
    fn has(&self, _section: Section) -> bool {
        true
    }

    /// Calls `found` with each known field of a [`place`], from the field `FIRST` to before the field `END`, in the order of
    /// the table.
    fn each<'a, const PLACE: u8, const FIRST: u8, const END: u8>(
        &'a self,
        mut found: impl FnMut(FieldKey, FieldValue<'a>),
    ) {
        let range = Field::ALL.get(usize::from(FIRST)..usize::from(END).min(Field::ALL.len())).unwrap_or_default();
        for field in range.iter().filter(|field| field.is_in(PLACE)) {
            if let Some(value) = self.value(*field) {
                found(field.key(), value);
            }
        }
    }
}

impl FieldSource for Subject<'_> {
    #[inline]
    fn value(&self, field: Field) -> Option<FieldValue<'_>> {
        field.value(self)
    }

    #[inline(always)]
    fn each<'a, const PLACE: u8, const FIRST: u8, const END: u8>(
        &'a self,
        found: impl FnMut(FieldKey, FieldValue<'a>),
    ) {
        Field::each_of::<PLACE, FIRST, END>(self, found);
    }

    #[inline]
    fn has(&self, section: Section) -> bool {
        self.has_section(section)
    }
}

impl FlowIdentity {
    /// The value of a field of the flow.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        field.value(&Subject { event: EventRef::Flow(self), ..Subject::NONE })
    }
}

impl Field {
    /// The name in JSON, CSV and rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of its values.
    #[must_use]
    pub fn kind(self) -> FieldKind {
        self.row().kind
    }

    /// When its value is known.
    #[must_use]
    pub fn known(self) -> Known {
        self.row().known
    }

    /// Whether it is in one of these [places](place).
    #[must_use]
    #[inline]
    pub fn is_in(self, places: u8) -> bool {
        self.row().places & places != 0
    }

    /// The value that rules compare.
    #[must_use]
    #[inline]
    pub fn get<'a>(self, subject: &Subject<'a>) -> FieldValue<'a> {
        self.value(subject).map_or(FieldValue::Absent, FieldValue::comparable)
    }

    /// The field of rules with a name.
    ///
    /// # Errors
    /// If there is none. The message suggests the most similar name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let fields = || Self::ALL.iter().copied().filter(|field| field.is_in(place::RULE));
        fields().find(|field| field.name() == name).ok_or_else(|| {
            format!("unknown field '{}'{}", name.escape_debug(), suggestion(name, fields().map(Self::name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        let mut names = HashSet::new();
        for field in Field::ALL {
            assert!(names.insert(field.name()), "{field:?}");
            if field.is_in(place::RULE) {
                assert_eq!(Field::parse(field.name()), Ok(*field));
            }
        }
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_most_similar_one() {
        assert_eq!(Field::parse("dest_prt").unwrap_err(), "unknown field 'dest_prt'; did you mean 'dest_port'?");
        assert_eq!(Field::parse("zzzzzzzzzz").unwrap_err(), "unknown field 'zzzzzzzzzz'");
    }

    #[test]
    fn a_key_is_the_last_part_of_the_path() {
        let row = Field::SshClientHassh.row();
        assert_eq!((row.name, row.key), ("ssh.client.hassh.hash", "\"hash\":"));
        assert_eq!(row.parents(), ["ssh", "client", "hassh"]);
        assert_eq!((Field::TlsSni.row().column(), Field::PktsToserver.row().column()), ("tls_sni", "pkts_toserver"));
    }
}
