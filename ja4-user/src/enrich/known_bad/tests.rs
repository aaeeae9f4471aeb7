use super::*;

const SLIVER: &str = "t13d190900_9dc949149365_97f8aa674fd9";

fn parse(text: &str) -> Result<KnownBadList, Diagnostics> {
    KnownBadList::parse(Path::new("bad.toml"), text)
}

/// One pattern of a list for JA4.
fn ja4(pattern: &str, confidence: u8) -> String {
    format!("[[pattern]]\ntype = 'ja4'\nmatch = '{pattern}'\ncategory = 'c2'\nconfidence = {confidence}\nnote = 'n'\n")
}

fn check(list: &str, value: &str) -> Option<String> {
    let known = parse(list).unwrap().check(Method::Ja4, value)?;
    Some(known.pattern.to_string())
}

#[test]
fn the_builtin_list_is_valid_and_has_the_public_values() {
    let list = parse(BUILTIN).unwrap();
    let table = [
        (Method::Ja4, SLIVER, "c2", 0..40),
        (Method::Ja4x, "000000000000_4f24da86fad6_bf0f0589fc03", "c2", 60..101),
        (Method::Ja4h, "ge11cn060000_4e59edc1297a_4da5efaf0cbd_0123456789ab", "c2", 60..101),
        (Method::Ja4h, "po10nn060000_cdb958d032b0_000000000000_000000000000", "malware", 60..101),
        (Method::Ja4h, "po11nn050000_d253db9d024b_000000000000_000000000000", "malware", 60..101),
        (Method::Ja4x, "2bab15409345_af684594efb4_000000000000", "malware", 60..101),
        (Method::Ja4x, "1a59268f55e5_1a59268f55e5_795797892f9c", "malware", 60..101),
        (Method::Ja4, "t13d201100_2b729b4bf6f3_9e7b989ebec8", "malware", 40..101),
        (Method::Ja4, "t13d880900_fcb5b95cb75a_b0d3b4ac2a14", "tunnel", 60..101),
        (Method::Ja4h, "ge11nn17enus_d488a5d46f42_000000000000_000000000000", "tunnel", 60..101),
    ];
    for (method, value, category, confidence) in table {
        let known = list.check(method, value).unwrap();
        assert_eq!(&*known.category, category, "{value}");
        assert!(confidence.contains(&known.confidence), "{value}: {}", known.confidence);
    }
    assert!(list.check(Method::Ja4, SLIVER).unwrap().note.contains("Go"));
    // Methods have separate lists.
    assert!(list.check(Method::Ja4s, SLIVER).is_none());
}

#[test]
fn ordinary_software_is_not_known_bad() {
    let list = KnownBadList::builtin();
    // Values of the built-in labels.
    for value in ["t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "t13d1516h2_8daaf6152771_02713d6af862"] {
        assert!(list.check(Method::Ja4, value).is_none(), "{value}");
    }
    assert!(list.check(Method::Ja4s, "t130200_1302_a56c5b993250").is_none());
}

#[test]
fn the_pattern_of_the_highest_confidence_is_used() {
    let list = [ja4(SLIVER, 20), ja4("t13d19*", 60), ja4("*_97f8aa674fd9", 90), ja4("t13*8aa*", 10)].concat();
    assert_eq!(check(&list, SLIVER).unwrap(), "*_97f8aa674fd9");
    assert_eq!(check(&list, "t13d1909h2_000000000000_000000000000").unwrap(), "t13d19*");
    assert_eq!(check(&list, "t13d1516h2_8aa000000000_000000000000").unwrap(), "t13*8aa*");
    assert_eq!(check(&list, "t12d1516h2_8aa000000000_000000000000"), None);
    // Equal confidence: the more specific pattern.
    let even = [ja4("t13*", 50), ja4(SLIVER, 50), ja4("t13d1909*", 50)].concat();
    assert_eq!(check(&even, SLIVER).unwrap(), SLIVER);
    assert_eq!(check(&even, "t13d1909h2_000000000000_000000000000").unwrap(), "t13d1909*");
}

#[test]
fn all_errors_are_reported_at_once_with_their_positions() {
    let list = format!(
        "{}[[pattern]]\ntype = 'ja5'\nmatch = 3\nconfidence = 101\nnote = 'n'\ncolour = 'red'\n{}{}{}",
        ja4("t13d19*", 10),
        ja4("t13d19*", 20),
        ja4("***", 20),
        ja4("t13d1909", 20),
    );
    let errors: Vec<String> = parse(&list).unwrap_err().0.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "bad.toml:7:1: pattern 2: missing key 'category'",
            "bad.toml:8:8: pattern 2: type: unknown value 'ja5'; did you mean 'ja4'?",
            "bad.toml:9:9: pattern 2: match: expected a string, found an integer",
            "bad.toml:10:14: pattern 2: confidence: expected an integer from 0 to 100, found 101",
            "bad.toml:12:1: pattern 2: unknown key 'colour': expected type, match, category, confidence or note",
            "bad.toml:13:1: pattern 3: 't13d19*' is listed twice",
            "bad.toml:21:9: pattern 4: '***' matches every ja4 value",
            "bad.toml:27:9: pattern 5: 't13d1909' is not a ja4 value; write * for the parts that vary",
        ],
    );
}

#[test]
fn broken_toml_and_other_tables_are_errors() {
    let errors = |text: &str| parse(text).unwrap_err().to_string();
    assert!(errors("[[pattern]]\ntype = 'ja4\n").starts_with("bad.toml:2:"));
    assert_eq!(errors("\n[patern]\n"), "bad.toml:2:2: unknown key 'patern'; did you mean 'pattern'?");
    let brackets = "bad.toml:1:11: expected an array of tables; write [[pattern]] before each";
    assert_eq!(errors("pattern = 3\n"), brackets);
    let many = ja4("x", 1).repeat(400);
    assert!(parse(&many).unwrap_err().0.len() < 300);
}

#[test]
fn an_extra_list_adds_patterns_and_replaces_those_of_the_same_text() {
    let entry = |matches: &str, note: &str| {
        format!("[[pattern]]\ntype = 'ja4h'\nmatch = '{matches}'\ncategory = 'c'\nconfidence = 50\nnote = '{note}'\n")
    };
    let list = |entries: &[(&str, &str)]| {
        let text: String = entries.iter().map(|(matches, note)| entry(matches, note)).collect();
        parse(&text).unwrap()
    };
    const EXACT: &str = "ge11nn050000_4b58bda3f0f1_000000000000_000000000000";
    let first = list(&[(EXACT, "one"), ("ge11*", "one"), ("*_4b58*0", "one"), ("po11*", "one")]);
    let extra = list(&[(EXACT, "two"), ("ge11*", "two"), ("*_4b58*0", "two"), ("ge20*", "two")]);
    let both = first.extended(extra).unwrap();
    assert_eq!(both.len(), 5);
    let note = |value: &str| both.check(Method::Ja4h, value).map(|known| known.note.to_string());
    let other = |start: &str| EXACT.replace("ge11nn050000", start);
    assert_eq!(note(EXACT).as_deref(), Some("two"));
    assert_eq!(note(&other("ge11nn060000").replace("4b58", "0000")).as_deref(), Some("two"));
    assert_eq!(note(&other("pu11nn050000")).as_deref(), Some("two"));
    assert_eq!(note(&other("po11nn050000").replace("4b58", "0000")).as_deref(), Some("one"));
    assert_eq!(note(&other("ge20nn050000").replace("4b58", "0000")).as_deref(), Some("two"));

    let many = |letter: char| {
        let text: String = (0..=MAX_GLOBS / 2).map(|number| entry(&format!("*{letter}{number}_*0"), "x")).collect();
        parse(&text).unwrap()
    };
    assert_eq!(many('a').extended(many('b')).unwrap_err(), Method::Ja4h);
}
