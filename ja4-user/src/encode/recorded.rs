//! What the engine knows of a fingerprint or a connection, in the lines of each format.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::csv::tests::by_column;
use super::tests::samples::{attributes, connection, context, end, fingerprint, flow, record, seen, tls};
use super::{Format, Formatter};
use crate::model::{ConnectionRecord, FingerprintRecord, KnownBad, Label, Method, SharedAttributes};

/// The lines of a fingerprint and of a connection.
fn lines(format: Format, seen: Option<&FingerprintRecord>, record: &ConnectionRecord) -> [String; 2] {
    let mut formatter = Formatter::new(format, Arc::new(context()));
    let record = &ConnectionRecord { attributes: attributes(tls()), ..record.clone() };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    formatter.fingerprint(&fingerprint(), record, seen, &mut first);
    formatter.connection(&end(), record, &mut second);
    [first, second].map(|line| String::from_utf8(line).unwrap())
}

#[test]
fn a_fingerprint_of_which_nothing_is_known_has_no_further_fields() {
    let seen = seen().labelled(None).matching(None).sighted(false);
    let record = connection(flow(), SharedAttributes::default());
    for format in Format::ALL {
        let [with, without] = [Some(&seen), None].map(|seen| lines(format, seen, &record));
        assert_eq!(with, without, "{format:?}");
    }
}

#[test]
fn json_has_a_field_for_all_that_is_known() {
    let [first, second] = lines(Format::Json, Some(&seen()), &record());
    let label = r#"{"name":"Chromium","source":"builtin","category":"browser","confidence":90}"#;
    let bad = r#""known_bad":{"pattern":"t13d15*","category":"c2","confidence":20,"note":"shared with browsers"}"#;
    assert!(first.ends_with(&format!(",\"label\":{label},\"first_seen\":true,{bad}}}\n")), "{first}");
    let rest = concat!(
        r#","os":"Linux","hops":{"client":3},"mss":1380,"path":{"name":"wireguard","confidence":80,"mtu":1420},"tunnel":{"name":"wireguard","confidence":80,"mtu":1420},"#,
        r#""ssh_session":"interactive","#,
        r#""primary":{"type":"ja4","value":"t13d1516h2_8daaf6152771_e5627efa2ab1"},"#,
        r#""alerts":["a fingerprint is known to be bad","a value was never seen"],"#,
        r#""ja4":{"ja4":["t13d1516h2_8daaf6152771_e5627efa2ab1"]}}"#,
    );
    assert!(second.ends_with(&format!(",\"app\":{label},\"first_seen\":true,{bad}{rest}\n")), "{second}");
}

#[test]
fn a_connection_has_the_values_of_each_method_in_their_order() {
    let values = [(Method::Ja4ssh, "b"), (Method::Ja4t, "x_\"y\""), (Method::Ja4ssh, "a"), (Method::Ja4ssh, "b")];
    let mut record = connection(flow(), SharedAttributes::default());
    record.history = values.map(|(method, value)| FingerprintRecord::example(method, value)).into_iter().collect();
    let [_, line] = lines(Format::Json, None, &record);
    assert!(line.ends_with(",\"ja4\":{\"ja4t\":[\"x_\\\"y\\\"\"],\"ja4ssh\":[\"b\",\"a\",\"b\"]}}\n"), "{line}");
    let mut snapshot = Vec::new();
    Formatter::new(Format::Json, Arc::new(context())).snapshot(&end(), &record, &mut snapshot);
    let snapshot: Value = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(snapshot["ja4"]["ja4ssh"], serde_json::json!(["b", "a", "b"]));
    assert_eq!(snapshot["fingerprints"].as_array().unwrap().len(), 4);

    let [fingerprint, line] = lines(Format::Csv, None, &record).map(|line| by_column(&line));
    assert_eq!([&*line["ja4.ja4"], &*line["ja4.ja4t"], &*line["ja4.ja4ssh"]], ["", "x_\"y\"", "b;a;b"]);
    assert_eq!(fingerprint["ja4.ja4ssh"], "");
}

#[test]
fn csv_fills_the_last_columns() {
    let [first, second] = lines(Format::Csv, Some(&seen()), &record()).map(|line| by_column(&line));
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
        let seen = seen().labelled(Some(Arc::new(label.clone()))).matching(Some(Arc::new(bad.clone())));
        let record = ConnectionRecord {
            app: seen.value.label.clone(),
            known_bad: seen.value.known_bad.clone(),
            fired: [&bad.note, &label.name].map(|text| text[..].into()).into(),
            ..record()
        };
        for (line, named) in lines(Format::Json, Some(&seen), &record).iter().zip(["label", "app"]) {
            prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
            let parsed: Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(parsed[named]["name"].as_str(), Some(&*label.name));
            prop_assert_eq!(parsed["known_bad"]["pattern"].as_str(), Some(&*bad.pattern));
        }
        for (line, named) in lines(Format::Csv, Some(&seen), &record).iter().zip(["label.name", "app.name"]) {
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
        for line in lines(Format::Table, Some(&seen), &record) {
            prop_assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1);
        }
    }
}
