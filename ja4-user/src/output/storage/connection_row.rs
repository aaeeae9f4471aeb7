//! The row of a connection: fixed columns, then a column for each field of the table that has one.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, ToSql};

use super::columns::{self, CLASS_OPEN, Octets, integer, json_list};
use crate::encode::attributes_json;
use crate::model::field::{Field, FieldValue, Subject, place};
use crate::model::{ConnectionRecord, FlowIdentity};

/// Columns that are no fields, or that the first row of a connection has too.
const FIXED: &str = "id, run, flow_id, interface, src_ip, src_port, dest_ip, dest_port, proto, vlan, vlan_inner, start, \
    \"end\", duration_class, primary_value, attributes";

/// Number of fixed columns.
const FIXED_COLUMNS: usize = 16;

/// Fields with a column of their own, in the order of the table.
pub(super) static FIELDS: LazyLock<Vec<Field>> =
    LazyLock::new(|| Field::ALL.iter().copied().filter(|field| field.is_in(place::COLUMN)).collect());

/// Replaces the row that the first fingerprint made.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (mut names, mut values) = (FIXED.to_owned(), String::from("?1"));
    for field in FIELDS.iter() {
        let _written = write!(names, ", {}", field.row().column());
    }
    for number in 2..=FIXED_COLUMNS + FIELDS.len() {
        let _written = write!(values, ", ?{number}");
    }
    format!("INSERT OR REPLACE INTO connection ({names}) VALUES ({values})")
});

/// A connection that has ended, or one that is still open and stored meanwhile.
pub(super) struct ConnectionRow<'a> {
    /// Its id.
    pub(super) id: i64,
    /// The run that saw it.
    pub(super) run: i64,
    pub(super) record: &'a ConnectionRecord,
    /// Id of the value of its primary fingerprint.
    pub(super) primary: Option<i64>,
}

impl ConnectionRow<'_> {
    /// Writes the row; `json` is a buffer.
    pub(super) fn insert(&self, statement: &mut CachedStatement<'_>, json: &mut Vec<u8>) -> rusqlite::Result<()> {
        let Self { id, run, record, primary } = self;
        let FlowIdentity { id: flow, client, server, proto, vlan, .. } = record.identity;
        json.clear();
        attributes_json(record, json);
        let attributes = std::str::from_utf8(json).ok().filter(|object| *object != "{}");
        let class =
            if record.ended.is_some() { columns::duration_class(record.start, record.last) } else { CLASS_OPEN };
        let fixed: [&dyn ToSql; FIXED_COLUMNS] = [
            id,
            run,
            &integer(flow),
            &record.interface,
            &Octets::of(client.0),
            &client.1,
            &Octets::of(server.0),
            &server.1,
            &proto,
            &vlan.iter().next(),
            &vlan.iter().nth(1),
            &columns::time(record.start),
            &columns::time(record.last),
            &class,
            primary,
            &attributes,
        ];
        let mut number = 0;
        for value in fixed {
            number += 1;
            statement.raw_bind_parameter(number, value)?;
        }
        let subject = Subject::of_record(record, None, None);
        for field in FIELDS.iter() {
            number += 1;
            statement.raw_bind_parameter(number, column(field.value(&subject)))?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// The value of a field in its column: lists as JSON.
fn column(value: Option<FieldValue<'_>>) -> ToSqlOutput<'_> {
    match value {
        Some(FieldValue::Number(number)) => ToSqlOutput::Owned(Value::Integer(number)),
        Some(FieldValue::Bool(holds)) => ToSqlOutput::Owned(Value::Integer(holds.into())),
        Some(FieldValue::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Some(FieldValue::Texts(texts)) => {
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            ToSqlOutput::Owned(Value::Text(json_list(&texts)))
        }
        // No field with a column has another kind.
        _ => ToSqlOutput::Owned(Value::Null),
    }
}
