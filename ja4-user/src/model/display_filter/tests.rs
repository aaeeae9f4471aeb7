use std::sync::Arc;

use super::*;
use crate::model::field::Subject;
use crate::model::{
    Attributes, ConnectionRecord, CowArc, EndReason, FingerprintRecord, InterfaceNames, Label, Method, TlsAttributes,
    example,
};

fn connection() -> ConnectionRecord {
    let mut record = example::record("10.0.0.1", "192.0.2.1", 443);
    let tls = TlsAttributes { sni: Some("Mail.Example.org".into()), ..TlsAttributes::default() };
    record.attributes = Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into();
    record.app = Some(Arc::new(Label { name: "Curl".into(), source: "mine".into(), category: None, confidence: None }));
    record.note(FingerprintRecord::example(Method::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1"));
    record.note(FingerprintRecord::numbered_example(Method::Ja4, "t13d1517h2_8daaf6152771_000000000000", 2));
    record.is_new = true;
    record.note_fired(&"many JA4 values".into());
    record.bytes.client = 5000;
    record
}

fn selects(expression: &str, record: &ConnectionRecord) -> bool {
    let names = InterfaceNames::default();
    names.index_of("eth0");
    DisplayFilter::parse(expression).unwrap().matches(&Subject::of_record(record, None, Some(&names)))
}

#[test]
fn terms_select_by_each_kind_of_value() {
    let record = connection();
    let (client, server) = (record.identity.client, record.identity.server);
    let addresses = [
        format!("src:{} dst:{}", client.0, server.0),
        format!("host:{} host:{}", client.0, server.0),
        format!("sport:{} dport:{} port:{}", client.1, server.1, server.1),
        format!("dport:{}- dport:-{} dport:0-65535", server.1, server.1),
    ];
    for expression in addresses.iter().map(String::as_str).chain([
        "",
        "app:curl",
        "app:CUR*",
        "app~URL",
        "sni:mail.example.org",
        "sni~example",
        "sni:*.example.*",
        "sni:\"mail.example.org\"",
        "ja4:t13d1516*",
        "ja4:t13d1517*",
        "ja4:*8daaf6152771*",
        "new",
        "alert",
        "open",
        "rule~ja4",
        "rule:\"many JA4 values\"",
        "connection.bytes_toserver:4000-",
        "first_seen:true",
        "proto:tls proto:tcp",
        "net:0.0.0.0/0 or net:::/0",
        "iface:eth0",
    ]) {
        assert!(selects(expression, &record), "{expression}");
    }
    for expression in [
        "app:cur",
        "app:wget",
        "sni:example",
        "sni~exemple",
        "ja4:t12*",
        "ja4s:*",
        "bad",
        "net:192.0.2.200/32",
        "dport:1-2",
        "first_seen:false",
        "known_bad.pattern:*",
        "os:*",
    ] {
        assert!(!selects(expression, &record), "{expression}");
    }
    assert!(!selects("open", &ConnectionRecord { ended: Some(EndReason::Fin), ..record.clone() }));
    assert!(selects("state:fin", &ConnectionRecord { ended: Some(EndReason::Fin), ..record }));
}

#[test]
fn and_binds_stronger_than_or_and_not_strongest() {
    let record = connection();
    for (expression, expected) in [
        ("new or bad and bad", true),
        ("(new or bad) and bad", false),
        ("new or bad bad", true),
        ("not bad and new", true),
        ("not (bad or new)", false),
        ("not not new", true),
        ("bad or bad or new", true),
        ("new and not(bad)", true),
        ("(new)", true),
    ] {
        assert_eq!(selects(expression, &record), expected, "{expression}");
    }
}

#[test]
fn an_error_names_its_place_and_a_remedy() {
    for (expression, error) in [
        ("new and", "character 8: a term is missing, such as dport:443"),
        ("new or or bad", "character 8: a term is missing before 'or'"),
        ("(new", "character 1: no ')' closes this '('"),
        ("new)", "character 4: unexpected ')'"),
        ("nwe", "character 1: unknown word 'nwe'; write new, bad, alert, open, or a key and a value such as dport:443"),
        ("new  ap:curl", "character 6: unknown key 'ap'; did you mean 'app'?"),
        (
            "dport:https",
            "character 7: invalid value 'https' of 'dport'; expected a number or a range such as 1024-65535",
        ),
        ("dport:9-3", "character 7: invalid value '9-3' of 'dport'; expected a number or a range such as 1024-65535"),
        ("net:10/8", "character 5: invalid value '10/8' of 'net'; expected an address or a network"),
        ("dport~44", "character 1: 'dport' is a number; write dport:44"),
        (
            "é app:",
            "character 1: unknown word 'é'; write new, bad, alert, open, or a key and a value such as dport:443",
        ),
        ("new app:", "character 9: 'app' has no value"),
        ("sni:\"a b", "character 1: no '\"' ends the value of 'sni'"),
    ] {
        assert_eq!(DisplayFilter::parse(expression).unwrap_err().to_string(), error, "{expression}");
    }
    let deep = "not ".repeat(100_000) + "new";
    assert!(DisplayFilter::parse(&deep).unwrap_err().to_string().contains("nested deeper than 64"));
    assert_eq!(DisplayFilter::parse("new  ap:curl").unwrap_err().position(), 5);
}
