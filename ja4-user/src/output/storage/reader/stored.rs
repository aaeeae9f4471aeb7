//! Stored rows, as sources of the fields of output.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use arcstr::ArcStr;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use crate::model::field::{Field, FieldKind, FieldSource, FieldValue, VALUES, place};
use crate::model::path::NetworkPath;
use crate::model::{Alert, CommunityId, EndReason, FlowIdentity, Method, Side, Time};
use crate::output::storage::columns::{self, number, text};
use crate::output::storage::connection_row::FIELDS;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
enum StoredValue {
    Number(i64),
    Flag(bool),
    Text(String),
    Texts(Vec<ArcStr>),
}

impl StoredValue {
    fn as_field(&self) -> FieldValue<'_> {
        match self {
            Self::Number(number) => FieldValue::Number(*number),
            Self::Flag(holds) => FieldValue::Bool(*holds),
            Self::Text(text) => FieldValue::Text(text),
            Self::Texts(texts) => FieldValue::Texts(texts),
        }
    }

    /// Returns the value of a field in `attributes`. A value of a type that output does not have is absent.
    fn from_json(value: &Json) -> Option<Self> {
        match value {
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Number(number) => number.as_i64().map(Self::Number),
            Json::Bool(holds) => Some(Self::Flag(*holds)),
            Json::Array(items) => Self::texts(items.iter().filter_map(Json::as_str).map(ArcStr::from).collect()),
            Json::Null | Json::Object(_) => None,
        }
    }

    fn texts(texts: Vec<ArcStr>) -> Option<Self> {
        (!texts.is_empty()).then_some(Self::Texts(texts))
    }
}

/// Values by field.
#[derive(Clone, Debug, Default, PartialEq)]
struct StoredValues(Vec<(Field, StoredValue)>);

impl StoredValues {
    fn get(&self, field: Field) -> Option<FieldValue<'_>> {
        self.0.iter().find(|(stored, _)| *stored == field).map(|(_, value)| value.as_field())
    }

    fn text(&self, field: Field) -> Option<&str> {
        match self.get(field) {
            Some(FieldValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Adds the value of a column, if it has the type of the field.
    fn read(&mut self, field: Field, columns: &mut ColumnReader<'_, '_>) -> rusqlite::Result<()> {
        let value = match field.kind() {
            FieldKind::Bool => Some(StoredValue::Flag(columns.flag()?)),
            FieldKind::Number => {
                columns.number()?.and_then(|number| i64::try_from(number).ok()).map(StoredValue::Number)
            }
            _ if field == Field::Alerts => columns
                .text()?
                .and_then(|list| StoredValue::texts(strings(&list).into_iter().map(Into::into).collect())),
            // Version 2 stored a missing note as an empty one.
            _ => columns.text()?.filter(|text| field != Field::KnownBadNote || !text.is_empty()).map(StoredValue::Text),
        };
        self.0.extend(value.map(|value| (field, value)));
        Ok(())
    }
}

/// A connection.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConnection {
    /// Its id.
    pub id: i64,
    /// The run that saw it.
    pub run: Option<i64>,
    /// Its flow.
    pub flow: FlowIdentity,
    /// Index into the run's interfaces.
    pub interface: Option<u64>,
    /// Time of the first packet.
    pub start: Time,
    /// Time of the last packet; of an open connection, of some packet.
    pub last: Time,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Name of the interface.
    pub in_iface: Option<String>,
    values: StoredValues,
}

/// A fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFingerprint {
    /// Time of its packet.
    pub time: Time,
    /// Number of its packet in a replay.
    pub packet: Option<u64>,
    /// Method.
    pub method: Method,
    /// Endpoint that it describes.
    pub side: Side,
    /// Value.
    pub value: String,
    values: StoredValues,
}

/// A fingerprint with its connection: the source of the fields of its line.
#[derive(Clone, Copy, Debug)]
pub struct FingerprintWithConnection<'a> {
    /// The connection.
    pub connection: &'a StoredConnection,
    /// The fingerprint.
    pub fingerprint: &'a StoredFingerprint,
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    /// The run that raised it.
    pub run: Option<i64>,
    /// Number of its flow; the endpoints may be unknown.
    pub flow_id: Option<u64>,
    /// The alert.
    pub alert: Alert,
}

/// A run of the sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its number.
    pub id: i64,
    /// Time of its start.
    pub started: Time,
    /// Time of its end; `None`: it is active, or was killed.
    pub ended: Option<Time>,
    /// Whether it shut down cleanly.
    pub clean: bool,
    /// Version of the program.
    pub version: String,
    /// Name of the sensor.
    pub sensor: Option<String>,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// Capture files.
    pub files: Vec<String>,
    /// Its last counters, a JSON object.
    pub counters: Option<String>,
}

/// Columns of a connection `c`, as [`StoredConnection::read`] reads them.
pub(super) static CONNECTION: LazyLock<String> = LazyLock::new(|| {
    let fields = FIELDS.iter().map(|field| format!("c.{}", field.row().column())).collect::<Vec<_>>().join(", ");
    format!(
        "c.id, c.run, c.flow_id, c.interface, c.src_ip, c.src_port, c.dest_ip, c.dest_port, c.proto, c.vlan, \
         c.vlan_inner, c.start, c.\"end\", c.attributes, \
         (SELECT p.method FROM fingerprint_value p WHERE p.id = c.primary_value), \
         (SELECT p.value FROM fingerprint_value p WHERE p.id = c.primary_value), {fields}"
    )
});

/// Returns the number of columns of [`CONNECTION`].
pub(super) fn connection_columns() -> usize {
    16 + FIELDS.len()
}

/// Columns of a fingerprint `f` and its value `v`, as [`StoredFingerprint::read`] reads them.
pub(super) const FINGERPRINT: &str = "f.time, f.packet, v.method, v.value, f.side, f.count, v.raw, f.first_seen, \
    v.label_name, v.label_source, v.label_category, v.label_confidence, \
    v.known_bad_pattern, v.known_bad_category, v.known_bad_confidence, v.known_bad_note";

/// The fields in the last columns of [`FINGERPRINT`].
const FINGERPRINT_FIELDS: [Field; 11] = [
    Field::FingerprintCount,
    Field::FingerprintRaw,
    Field::FirstSeen,
    Field::LabelName,
    Field::LabelSource,
    Field::LabelCategory,
    Field::LabelConfidence,
    Field::KnownBadPattern,
    Field::KnownBadCategory,
    Field::KnownBadConfidence,
    Field::KnownBadNote,
];

/// Reads columns in order. A value of an unexpected type is absent: another program may have written it.
pub(super) struct ColumnReader<'a, 'r> {
    row: &'a Row<'r>,
    at: usize,
}

impl<'a, 'r> ColumnReader<'a, 'r> {
    pub(super) fn from(row: &'a Row<'r>, at: usize) -> Self {
        Self { row, at }
    }

    pub(super) fn text(&mut self) -> rusqlite::Result<Option<String>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(text(value))
    }

    pub(super) fn number(&mut self) -> rusqlite::Result<Option<u64>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(number(value))
    }

    pub(super) fn count(&mut self) -> rusqlite::Result<u64> {
        Ok(self.number()?.unwrap_or(0))
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<Time> {
        Ok(Time(self.count()?))
    }

    pub(super) fn flag(&mut self) -> rusqlite::Result<bool> {
        Ok(self.count()? != 0)
    }

    pub(super) fn id(&mut self) -> rusqlite::Result<Option<i64>> {
        Ok(self.number()?.and_then(|id| i64::try_from(id).ok()))
    }

    pub(super) fn address(&mut self) -> rusqlite::Result<Option<IpAddr>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(value.as_blob_or_null().ok().flatten().and_then(columns::address))
    }

    fn port(&mut self) -> rusqlite::Result<u16> {
        Ok(self.number()?.and_then(|port| u16::try_from(port).ok()).unwrap_or(0))
    }

    pub(super) fn method(&mut self) -> rusqlite::Result<Option<Method>> {
        Ok(self.id()?.and_then(columns::method))
    }

    /// Reads the endpoints, protocol and tags of the flow with this id.
    pub(super) fn flow(&mut self, id: u64) -> rusqlite::Result<FlowIdentity> {
        const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let client = (self.address()?.unwrap_or(UNKNOWN), self.port()?);
        let server = (self.address()?.unwrap_or(UNKNOWN), self.port()?);
        let proto = self.number()?.and_then(|proto| u8::try_from(proto).ok()).unwrap_or(0);
        let vlan =
            [self.number()?, self.number()?].into_iter().flatten().filter_map(|tag| u16::try_from(tag).ok()).collect();
        Ok(FlowIdentity { id, community: CommunityId::of(client, server, proto), client, server, proto, vlan })
    }

    /// Reads a flow as [`flow`](Self::flow) does. Returns `None` if the id or an endpoint is unknown.
    pub(super) fn flow_if_known(&mut self, id: Option<u64>) -> rusqlite::Result<Option<FlowIdentity>> {
        // Each endpoint has an address and a port.
        let is_known = |column| self.row.get_ref(column).is_ok_and(|address| address != ValueRef::Null);
        let are_known = [self.at, self.at + 2].map(is_known) == [true; 2];
        let flow = self.flow(id.unwrap_or(0))?;
        Ok((id.is_some() && are_known).then_some(flow))
    }
}

impl StoredConnection {
    /// Reads the columns of [`CONNECTION`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut columns = ColumnReader::from(row, 0);
        let (id, run, flow, interface) =
            (columns.id()?.unwrap_or(0), columns.id()?, columns.count()?, columns.number()?);
        let flow = columns.flow(flow)?;
        let (start, last, attributes) = (columns.time()?, columns.time()?, columns.text()?);
        let primary = columns.method()?.zip(columns.text()?);
        let mut values = StoredValues::default();
        for field in FIELDS.iter() {
            values.read(*field, &mut columns)?;
        }
        if values.get(Field::ConnectionState).is_none() {
            values.0.push((Field::ConnectionState, StoredValue::Text(EndReason::Open.name().to_owned())));
        }
        if let Some((method, value)) = primary {
            values.0.push((Field::PrimaryType, StoredValue::Text(method.name().to_owned())));
            values.0.push((Field::PrimaryValue, StoredValue::Text(value)));
        }
        let attributes: Map<String, Json> =
            attributes.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        for field in Field::ALL.iter().filter(|field| field.is_in(place::ATTRIBUTES) && !attributes.is_empty()) {
            let mut path = field.row().path.iter();
            let found = path.next().and_then(|first| attributes.get(*first));
            let found = path.try_fold(found, |object, name| object.map(|object| object.get(*name)));
            if !field.is_in(place::COLUMN)
                && let Some(value) = found.flatten().and_then(StoredValue::from_json)
            {
                values.0.push((*field, value));
            }
        }
        Ok(Self { id, run, flow, interface, start, last, sensor: None, in_iface: None, values })
    }

    /// Adds the values of its fingerprints, which are in order.
    pub(super) fn add_fingerprints<'a>(&mut self, fingerprints: impl Iterator<Item = (Method, &'a str)> + Clone) {
        for (method, field) in VALUES {
            let values = fingerprints.clone().filter(|(of, _)| *of == method).map(|(_, value)| value.into());
            self.values.0.extend(StoredValue::texts(values.collect()).map(|values| (field, values)));
        }
    }

    /// A connection for tests, with these texts.
    #[cfg(all(test, feature = "top"))]
    pub(crate) fn example(flow: FlowIdentity, start: Time, texts: &[(Field, &str)]) -> Self {
        let values = texts.iter().map(|(field, text)| (*field, StoredValue::Text((*text).to_owned())));
        let values = StoredValues(values.collect());
        Self { id: 1, run: None, flow, interface: None, start, last: start, sensor: None, in_iface: None, values }
    }

    /// Returns the text of a field.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        self.values.text(field)
    }

    /// Returns the bytes of both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let count = |field| match self.values.get(field) {
            Some(FieldValue::Number(bytes)) => bytes.unsigned_abs(),
            _ => 0,
        };
        count(Field::BytesToserver).saturating_add(count(Field::BytesToclient))
    }

    /// Returns the path that the MSS indicates.
    fn path(&self) -> Option<NetworkPath> {
        match self.values.get(Field::Mss) {
            Some(FieldValue::Number(mss)) => {
                Some(NetworkPath::of(u16::try_from(mss).ok()?, self.flow.client.0.is_ipv6()))
            }
            _ => None,
        }
    }
}

impl FieldSource for StoredConnection {
    fn value(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::Sensor => self.sensor.as_deref().map(FieldValue::Text),
            Field::InIface => self.in_iface.as_deref().map(FieldValue::Text),
            Field::ConnectionStart => Some(FieldValue::Timestamp(self.start)),
            Field::ConnectionEnd => Some(FieldValue::Timestamp(self.last)),
            Field::PathName => self.path()?.name.map(FieldValue::Text),
            Field::PathConfidence => {
                self.path().filter(|path| path.name.is_some()).map(|path| FieldValue::number(path.confidence))
            }
            Field::PathMtu => self.path().map(|path| FieldValue::number(path.mtu)),
            _ if (Field::FlowId..=Field::Proto).contains(&field) => self.flow.field(field),
            _ => self.values.get(field),
        }
    }
}

impl StoredFingerprint {
    /// Reads the columns of [`FINGERPRINT`], the first of which is column `from`. Returns `None` for an unknown method.
    pub(super) fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Option<Self>> {
        let mut columns = ColumnReader::from(row, from);
        let (time, packet, method, value) = (columns.time()?, columns.number()?, columns.method()?, columns.text()?);
        let side = if columns.flag()? { Side::Server } else { Side::Client };
        let mut values = StoredValues::default();
        for field in FINGERPRINT_FIELDS {
            values.read(field, &mut columns)?;
        }
        let value = value.unwrap_or_default();
        Ok(method.map(|method| Self { time, packet, method, side, value, values }))
    }

    /// Returns the text of a field.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        self.values.text(field)
    }
}

impl FieldSource for StoredFingerprint {
    fn value(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::PcapCnt => self.packet.map(FieldValue::number),
            Field::FingerprintType => Some(FieldValue::Text(self.method.name())),
            Field::FingerprintValue => Some(FieldValue::Text(&self.value)),
            Field::FingerprintSide => Some(FieldValue::Text(self.side.name())),
            _ => self.values.get(field),
        }
    }
}

impl FieldSource for FingerprintWithConnection<'_> {
    fn value(&self, field: Field) -> Option<FieldValue<'_>> {
        let is_of_fingerprint = field == Field::PcapCnt
            || field >= Field::LabelName
            || (Field::FingerprintType..=Field::FingerprintRawOriginal).contains(&field);
        if is_of_fingerprint { self.fingerprint.value(field) } else { self.connection.value(field) }
    }
}

/// Returns the strings of a JSON list.
pub(super) fn strings(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_default()
}
