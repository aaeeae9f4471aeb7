use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;

use super::text::{MAX_VALUE, visible};
use super::*;
use crate::model::{Alert, Method, Severity, Time};

/// 2026-11-23T07:00:00.123456789Z
const TIME: Time = Time(1_795_417_200_123_456_789);

fn context() -> EncodeContext {
    EncodeContext { sensor: Some("web 1".to_owned()), ..EncodeContext::default() }
}

fn line(text: &str) -> AlertLine {
    AlertLine {
        alert: Alert {
            time: TIME,
            packet: None,
            rule: text.into(),
            sid: None,
            description: text.into(),
            severity: Severity::Critical,
            group: vec![("sni".into(), text.into())],
            reason: text.to_owned(),
            flow: None,
            interface: None,
            fingerprint: Some((Method::Ja4h, text.into())),
            category: Some(text.into()),
            confidence: Some(7),
            suppressed: 2,
        },
        raw: Some(text.into()),
    }
}

fn written(mut format: AlertFormat, line: &AlertLine) -> String {
    let mut out = Vec::new();
    format.write(line, &mut out);
    String::from_utf8(out).unwrap()
}

fn syslog(content: SyslogContent, line: &AlertLine) -> String {
    written(AlertFormat::syslog(true, SyslogHeader { facility: 16, enterprise: 32_473 }, content, &context()), line)
}

/// Reads structured data by the grammar of RFC 5424 section 6.3: its name, its parameters, what follows.
fn structured(text: &str) -> (String, Vec<(String, String)>, &str) {
    let text = text.strip_prefix('[').unwrap();
    let (id, mut rest) = text.split_at(text.find([' ', ']']).unwrap());
    let mut parameters = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return (id.to_owned(), parameters, after);
        }
        let (name, value) = rest.strip_prefix(' ').unwrap().split_once("=\"").unwrap();
        assert!((1..=32).contains(&name.len()) && !name.contains([' ', ']', '"', '=']), "{name}");
        let (mut text, mut characters) = (String::new(), value.char_indices());
        let end = loop {
            match characters.next().unwrap() {
                (_, '\\') => text.push(characters.next().unwrap().1),
                (at, '"') => break at,
                (_, ']') => panic!("a bare bracket in {value}"),
                (_, other) => text.push(other),
            }
        };
        parameters.push((name.to_owned(), text));
        rest = &value[end + 1..];
    }
}

/// Reads CEF: the seven fields of the header, the extension.
fn cef(text: &str) -> (Vec<String>, HashMap<String, String>) {
    let (mut header, mut field, mut characters) = (Vec::new(), String::new(), text.char_indices());
    let rest = loop {
        match characters.next().unwrap() {
            (_, '\\') => field.push(characters.next().unwrap().1),
            (at, '|') => {
                header.push(std::mem::take(&mut field));
                if header.len() == 7 {
                    break &text[at + 1..];
                }
            }
            (_, other) => field.push(other),
        }
    };
    // A value ends where the next bare `=` has its key.
    let bare: Vec<usize> = rest
        .char_indices()
        .scan(false, |escaped, (at, character)| {
            let bare = character == '=' && !*escaped;
            *escaped = character == '\\' && !*escaped;
            Some(bare.then_some(at))
        })
        .flatten()
        .collect();
    let key = |end: usize| rest[..end].rfind(' ').map_or(0, |space| space + 1);
    let mut fields = HashMap::new();
    for (place, &at) in bare.iter().enumerate() {
        let end = bare.get(place + 1).map_or(rest.len(), |&next| key(next) - 1);
        let value = rest[at + 1..end].replace("\\=", "=").replace("\\\\", "\\");
        let earlier = fields.insert(rest[key(at)..at].to_owned(), value);
        assert_eq!(earlier, None, "a key twice in {text}");
    }
    (header, fields)
}

/// Unescapes in one pass, as two replacements would not.
fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut out = String::new();
    while let Some(character) = characters.next() {
        out.push(if character == '\\' { characters.next().unwrap() } else { character });
    }
    out
}

#[test]
fn a_syslog_message() {
    let mut line = line("known_bad");
    line.alert.reason = "it \"is\" [bad]".to_owned();
    assert_eq!(
        syslog(SyslogContent::Text, &line),
        format!(
            concat!(
                "<130>1 2026-11-23T07:00:00.123456Z web_1 ja4sensor {} known_bad ",
                r#"[ja4sensor@32473 rule="known_bad" severity="critical" description="known_bad" "#,
                r#"reason="it \"is\" [bad\]" category="known_bad" confidence="7" suppressed="2" group_sni="known_bad" "#,
                r#"fingerprint_type="ja4h" fingerprint="known_bad" raw="known_bad"] "#,
                r#"critical known_bad: it "is" [bad], sni=known_bad, and 2 like it"#,
            ),
            std::process::id(),
        ),
    );
}

#[test]
fn a_cef_line() {
    let mut line = line("known_bad");
    line.alert.reason = r"a=b\c|d".to_owned();
    line.alert.description = r"one|two\three=four".into();
    assert_eq!(
        written(AlertFormat::cef(false, &context()), &line),
        concat!(
            r"CEF:0|ja4sensor|ja4sensor|",
            env!("CARGO_PKG_VERSION"),
            r"|known_bad|one\|two\\three=four|10|rt=1795417200123 act=allowed dvchost=web 1 cat=known_bad cs1Label=ja4h ",
            r"cs1=known_bad cs2Label=group cs2=sni\=known_bad cn1Label=confidence cn1=7 cnt=3 msg=a\=b\\c|d",
        ),
    );
}

#[test]
fn slack_text_has_no_mentions_or_links() {
    let text = written(AlertFormat::slack(false), &line("<!channel> & <https://evil.example|here>"));
    assert!(!text.contains(['<', '>']), "{text}");
    assert!(text.contains("&lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;"), "{text}");
    assert!(text.contains(r#""mrkdwn":false"#), "{text}");
}

#[test]
fn long_values_are_truncated_at_a_character_boundary() {
    let shown = visible(&"é".repeat(1000), MAX_VALUE);
    assert!(shown.len() <= MAX_VALUE && shown.ends_with("é…"), "{shown}");
    assert_eq!(visible(&"\u{1b}".repeat(1000), 20), "\\u{1b}\\u{1b}\\u{1b…");
    let exactly = "x".repeat(MAX_VALUE);
    assert_eq!(visible(&exactly, MAX_VALUE), exactly);
    assert!(syslog(SyslogContent::Cef, &line(&"]".repeat(10_000))).len() < 16_384);
    assert!(syslog(SyslogContent::Text, &line(&"x".repeat(10_000))).len() < 8_192);
}

#[test]
fn raw_forms_are_included_if_configured() {
    let line = AlertLine { raw: Some("the raw form".into()), ..line("x") };
    for raw in [false, true] {
        let header = || SyslogHeader { facility: 0, enterprise: 1 };
        let formats = [
            AlertFormat::json(raw, &context()),
            AlertFormat::slack(raw),
            AlertFormat::syslog(raw, header(), SyslogContent::Text, &context()),
            AlertFormat::syslog(raw, header(), SyslogContent::Cef, &context()),
            AlertFormat::cef(raw, &context()),
        ];
        for format in formats {
            let shown = format!("{format:?}").chars().take(40).collect::<String>();
            assert_eq!(written(format, &line).contains("the raw form"), raw, "{shown}");
        }
    }
}

/// Text that could forge a field, a line or a mention in one of the formats, or any string.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "\n",
        "\r\n",
        "\0",
        "\"",
        "]",
        "[",
        "\\",
        "|",
        "=",
        " ",
        "src=6.6.6.6",
        "\" rule=\"x",
        "<!channel>",
        "&",
        "{",
        "}",
        "<165>1 - forged",
        "CEF:0|a|b|c|d|e|10|",
        "\u{1b}[2J",
        "\u{202e}",
        "\u{2028}",
        "\u{85}",
        "é",
        "a",
    ]);
    prop_oneof![prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), any::<String>(),]
}

proptest! {
    #[test]
    fn no_text_forges_fields(text in hostile()) {
        let line = line(&text);
        let shown = visible(&text, MAX_VALUE);

        let json = written(AlertFormat::json(true, &context()), &line);
        prop_assert!(!json.contains(char::is_control));
        let parsed: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(parsed["alert"]["ja4sensor"]["group"]["sni"].as_str(), Some(&*text));
        prop_assert_eq!(parsed["alert"]["severity"].as_u64(), Some(1));
        prop_assert_eq!(parsed["fingerprint"]["raw"].as_str(), Some(&*text));

        let slack = written(AlertFormat::slack(true), &line);
        prop_assert!(!slack.contains(char::is_control));
        let parsed: Value = serde_json::from_str(&slack).unwrap();
        prop_assert_eq!(parsed.as_object().unwrap().len(), 5);
        prop_assert!(!parsed["text"].as_str().unwrap().contains(['<', '>', '\n']));

        for content in [SyslogContent::Text, SyslogContent::Cef, SyslogContent::BareCef] {
            let message = syslog(content, &line);
            prop_assert!(!message.contains(char::is_control));
            let header: Vec<_> = message.splitn(7, ' ').collect();
            prop_assert_eq!((header[0], header[2], header[3]), ("<130>1", "web_1", "ja4sensor"));
            prop_assert!((1..=32).contains(&header[5].len()) && header[5].bytes().all(|byte| byte.is_ascii_graphic()));
            let text = if content == SyslogContent::BareCef {
                header[6].strip_prefix("- ").unwrap()
            } else {
                let (id, parameters, rest) = structured(header[6]);
                prop_assert_eq!(id, "ja4sensor@32473");
                prop_assert_eq!(parameters.len(), 11);
                for name in ["rule", "description", "reason", "category", "group_sni", "fingerprint"] {
                    let value = parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
                    prop_assert_eq!(value, Some(&*shown));
                }
                rest.strip_prefix(' ').unwrap()
            };
            if content != SyslogContent::Text {
                prop_assert!(text.starts_with("CEF:0|ja4sensor|"));
            }
        }

        let (header, fields) = cef(&written(AlertFormat::cef(true, &context()), &line));
        prop_assert_eq!(header.len(), 7);
        prop_assert_eq!((&*header[0], &*header[4], &*header[5], &*header[6]), ("CEF:0", &*shown, &*shown, "10"));
        prop_assert_eq!(fields.len(), 14);
        prop_assert!(!fields.contains_key("src"));
        prop_assert_eq!(&*fields["cnt"], "3");
    }

    #[test]
    fn cef_values_round_trip(text in hostile()) {
        let mut out = Vec::new();
        CefFormat::new(&context()).write(&line(&text).alert, None, &mut out);
        let written = String::from_utf8(out).unwrap();
        let (_, of_message) = written.rsplit_once("cnt=3 msg=").unwrap();
        prop_assert_eq!(unescaped(of_message), visible(&text, MAX_VALUE));
    }
}
