//! Every row of the field table is found wherever its places say.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::tests::samples::{alert, certificate, context, end, fingerprint, ja3, known, record, seen};
use super::{Format, Formatter};
use crate::model::field::{Field, place};
use crate::model::{
    Attributes, CertificateAttributes, ConnectionRecord, CowArc, FingerprintEvent, FingerprintRecord, Latency, Method,
};

/// The reference of the output, which `cargo xtask docs` generates.
const REFERENCE: &str = include_str!("../../../docs/output.md");
/// The tables of a new database.
const SCHEMA: &str = include_str!("../output/storage/schema/v3.sql");

/// Lines of a fingerprint, a connection and an alert of which everything is known.
fn lines(format: Format) -> [String; 3] {
    let mut tls = known().tls.unwrap_or_default();
    (tls.alpn_chosen, tls.ech, tls.certificate) = (Some("h2".into()), true, Some(Box::new(certificate())));
    tls.ja3 = Some(Box::new(ja3()));
    let attributes = Attributes { tls: Some(CowArc::new((*tls).clone())), ..known() }.into();
    let own: CertificateAttributes = certificate();
    let event = FingerprintEvent {
        raw: Some("r"),
        original: Some("o"),
        raw_original: Some("ro"),
        certificate: Some(&own),
        ..fingerprint()
    };
    let latency =
        Latency { client: Some(1), server: Some(2), client_application: Some(3), server_application: Some(4) };
    let (latency, hops) = (Some(Box::new(latency)), [Some(3), Some(4)].into());
    let history = Method::ALL.map(|method| FingerprintRecord::example(method, method.name()));
    let record = ConnectionRecord { attributes, latency, hops, history: history.into_iter().collect(), ..record() };
    let mut formatter = Formatter::new(format, Arc::new(context()));
    let mut lines = [Vec::new(), Vec::new(), Vec::new()];
    let [first, second, third] = &mut lines;
    formatter.fingerprint(&event, &record, Some(&seen()), first);
    formatter.connection(&end(), &record, second);
    formatter.alert(&alert(), Some("r"), third);
    lines.map(|line| String::from_utf8(line).unwrap())
}

#[test]
fn a_row_is_found_in_json_csv_sql_rules_and_docs() {
    let json = lines(Format::Json).map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let mut header = Vec::new();
    Formatter::new(Format::Csv, Arc::default()).header(&mut header);
    let header = String::from_utf8(header).unwrap();
    let columns: BTreeSet<_> = header.trim_end().split(',').collect();
    for field in Field::ALL {
        let (name, row) = (field.name(), field.row());
        for (event, line) in [place::FINGERPRINT, place::CONNECTION, place::ALERT].into_iter().zip(&json) {
            // The sample of a connection ends without a packet.
            let found = line.pointer(&format!("/{}", name.replace('.', "/"))).is_some();
            let expected = field.is_in(event) && !(event == place::CONNECTION && *field == Field::PcapCnt);
            // Rules have a field with the name of the object that output has.
            let is_object = matches!(field, Field::KnownBadFlag | Field::Ja4);
            assert!(found == expected || is_object, "{name}: {line:#}");
        }
        let is_output = field.is_in(place::FINGERPRINT | place::CONNECTION | place::ALERT);
        assert_eq!(columns.contains(name), is_output, "{name} in {header}");
        assert_eq!(Field::parse(name).is_ok(), field.is_in(place::RULE), "{name} in rules");
        if field.is_in(place::COLUMN) {
            let column = format!(" {} ", row.column());
            assert!(SCHEMA.contains(&column), "no column {column} in the schema");
        }
        assert!(REFERENCE.contains(&format!("| `{name}` | ")), "{name} is not in docs/output.md: run cargo xtask docs");
    }
}
