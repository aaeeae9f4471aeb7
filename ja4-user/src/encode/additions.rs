//! Fields that the engine adds to a line that a shard has written.

use super::format::Format;
use super::{csv, json, table};
use crate::model::field::Subject;
use crate::model::{ConnectionRecord, FingerprintRecord};

/// Ends lines that a formatter has left [open](super::Formatter::open).
///
/// JSON gets further fields, CSV its last columns, the table marks behind the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Additions {
    format: Format,
}

impl Additions {
    /// For lines of this format.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Ends the open line of a fingerprint, at the end of `out`, with label, first-seen and
    /// known-bad fields.
    pub fn fingerprint(self, seen: &FingerprintRecord, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => json::add_to_fingerprint(seen, out),
            Format::Csv => csv::add_to_fingerprint(seen, out),
            Format::Table => table::add_to_fingerprint(seen, out),
        }
        self.end(out);
    }

    /// Ends the open line of a connection, at the end of `out`, with the fields of its record.
    pub fn connection(self, record: &ConnectionRecord, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => json::add_to_connection(record, out),
            Format::Csv => csv::add_to_connection(record, out),
            Format::Table => table::add_to_connection(record, out),
        }
        self.end(out);
    }

    /// Ends the open line of a connection as [`connection`](Self::connection) does, in JSON with the fingerprints of
    /// its record.
    pub fn snapshot(self, record: &ConnectionRecord, out: &mut Vec<u8>) {
        if self.format == Format::Json {
            let history = record.history.iter();
            json::fingerprints(history.map(|seen| (seen.time, Subject { seen: Some(seen), ..Subject::NONE })), out);
        }
        self.connection(record, out);
    }

    /// Ends an open line without further fields.
    pub fn nothing(self, out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            return csv::add_nothing(out);
        }
        self.end(out);
    }

    fn end(self, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => json::end(out),
            // Its columns end the line.
            Format::Csv => {}
            Format::Table => out.push(b'\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::Formatter;
    use super::super::csv::tests::by_column;
    use super::super::tests::samples::{attributes, connection, context, fingerprint, flow, record, seen, tls};
    use super::*;
    use crate::model::{KnownBad, Label};

    /// The lines of a fingerprint and of a connection, ended by `end` where they are left open.
    fn lines(format: Format, end: Option<(&FingerprintRecord, &ConnectionRecord)>) -> [String; 2] {
        let formatter = Formatter::new(format, Arc::new(context()));
        let mut formatter = if end.is_some() { formatter.open() } else { formatter };
        let (flow, attributes) = (flow(), attributes(tls()));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        formatter.fingerprint(&fingerprint(&flow, &attributes), &mut first);
        formatter.connection(&connection(&flow, &attributes), &mut second);
        if let Some((seen, record)) = end {
            Additions::new(format).fingerprint(seen, &mut first);
            Additions::new(format).connection(record, &mut second);
        }
        [first, second].map(|line| String::from_utf8(line).unwrap())
    }

    fn unknown() -> (FingerprintRecord, ConnectionRecord) {
        let seen = FingerprintRecord { first_seen: false, label: None, known_bad: None, ..seen() };
        let record = ConnectionRecord {
            app: None,
            known_bad: None,
            history: thin_vec::ThinVec::new(),
            hops: [None; 2].into(),
            mss: None,
            os: None,
            ssh: None,
            is_new: false,
            fired: thin_vec::ThinVec::new(),
            ..record()
        };
        (seen, record)
    }

    #[test]
    fn nothing_known_leaves_the_lines_as_they_are_without_an_engine() {
        let (seen, record) = unknown();
        for format in Format::ALL {
            assert_eq!(lines(format, Some((&seen, &record))), lines(format, None), "{format:?}");
        }
    }

    #[test]
    fn json_has_a_field_for_all_that_is_known() {
        let [first, second] = lines(Format::Json, Some((&seen(), &record())));
        let label = r#"{"name":"Chromium","source":"builtin","category":"browser","confidence":90}"#;
        let bad = r#""known_bad":{"pattern":"t13d15*","category":"c2","confidence":20,"note":"shared with browsers"}"#;
        assert!(first.ends_with(&format!(",\"label\":{label},\"first_seen\":true,{bad}}}\n")), "{first}");
        let rest = concat!(
            r#","os":"Linux","hops":{"client":3},"mss":1380,"path":{"name":"wireguard","confidence":80,"mtu":1420},"tunnel":{"name":"wireguard","confidence":80,"mtu":1420},"#,
            r#""ssh_session":"interactive","#,
            r#""primary":{"type":"ja4","value":"t13d1516h2_8daaf6152771_e5627efa2ab1"},"#,
            r#""alerts":["a fingerprint is known to be bad","a value was never seen"]}"#,
        );
        assert!(second.ends_with(&format!(",\"app\":{label},\"first_seen\":true,{bad}{rest}\n")), "{second}");
    }

    #[test]
    fn csv_fills_the_last_columns() {
        let [first, second] = lines(Format::Csv, Some((&seen(), &record()))).map(|line| by_column(&line));
        for (column, of_first, of_second) in [
            ("label.name", "Chromium", ""),
            ("label.confidence", "90", ""),
            ("app.name", "", "Chromium"),
            ("app.confidence", "", "90"),
            ("known_bad.pattern", "t13d15*", "t13d15*"),
            ("known_bad.confidence", "20", "20"),
            ("first_seen", "true", "true"),
            ("os", "", "Linux"),
            ("hops.client", "", "3"),
            ("hops.server", "", ""),
            ("mss", "", "1380"),
            ("tunnel.name", "", "wireguard"),
            ("ssh_session", "", "interactive"),
            ("primary.value", "", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
            ("alerts", "", "a fingerprint is known to be bad;a value was never seen"),
            ("alert.ja4sensor.rule", "", ""),
        ] {
            assert_eq!((&*first[column], &*second[column]), (of_first, of_second), "{column}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_label_says_is_one_line(texts in any::<[String; 5]>(), like_csv in "[\"',=+@\t\r\n;a-]{0,6}") {
            let [name, source, category, pattern, note] = texts.map(|text| Arc::from(format!("{text}{like_csv}")));
            let label = Label { name, source, category: Some(Arc::clone(&category)), confidence: None };
            let bad = KnownBad { pattern, category, confidence: 1, note };
            let seen = FingerprintRecord { label: Some(Arc::new(label.clone())), known_bad: Some(Arc::new(bad.clone())), ..seen() };
            let record = ConnectionRecord {
                app: seen.label.clone(),
                known_bad: seen.known_bad.clone(),
                fired: [&bad.note, &label.name].map(|text| text[..].into()).into(),
                ..record()
            };
            for (line, named) in lines(Format::Json, Some((&seen, &record))).iter().zip(["label", "app"]) {
                prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
                let parsed: Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(parsed[named]["name"].as_str(), Some(&*label.name));
                prop_assert_eq!(parsed["known_bad"]["pattern"].as_str(), Some(&*bad.pattern));
            }
            for (line, named) in lines(Format::Csv, Some((&seen, &record))).iter().zip(["label.name", "app.name"]) {
                let columns = by_column(line);
                // Terminal control characters are escaped.
                let shown = |text: &str| {
                    let mut out = Vec::new();
                    crate::encode::escape::terminal(text, usize::MAX, &mut out);
                    String::from_utf8(out).unwrap()
                };
                prop_assert_eq!(&columns[named], &shown(&label.name));
                prop_assert_eq!(&columns["known_bad.pattern"], &shown(&bad.pattern));
            }
            for line in lines(Format::Table, Some((&seen, &record))) {
                prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
            }
        }
    }
}
