use proptest::prelude::*;

use super::*;

const SLIVER: &str = "t13d190900_9dc949149365_97f8aa674fd9";

/// One pattern of a list for JA4.
fn ja4(pattern: &str, confidence: u8) -> String {
    format!("[[pattern]]\ntype = 'ja4'\nmatch = '{pattern}'\ncategory = 'c2'\nconfidence = {confidence}\nnote = 'n'\n")
}

fn check(list: &str, value: &str) -> Option<String> {
    let known = KnownBadList::parse(list).unwrap().check(Method::Ja4, value)?;
    Some(known.pattern.to_string())
}

#[test]
fn the_shipped_list_is_well_formed_and_knows_the_public_values() {
    let list = KnownBadList::parse(BUILTIN).unwrap();
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
    // A value of another method is another value.
    assert!(list.check(Method::Ja4s, SLIVER).is_none());
}

#[test]
fn ordinary_software_is_not_bad() {
    let list = KnownBadList::builtin();
    // What the shipped labels were recorded from.
    for value in ["t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "t13d1516h2_8daaf6152771_02713d6af862"] {
        assert!(list.check(Method::Ja4, value).is_none(), "{value}");
    }
    assert!(list.check(Method::Ja4s, "t130200_1302_a56c5b993250").is_none());
}

#[test]
fn the_surest_pattern_counts() {
    let list = [ja4(SLIVER, 20), ja4("t13d19*", 60), ja4("*_97f8aa674fd9", 90), ja4("t13*8aa*", 10)].concat();
    assert_eq!(check(&list, SLIVER).unwrap(), "*_97f8aa674fd9");
    assert_eq!(check(&list, "t13d1909h2_000000000000_000000000000").unwrap(), "t13d19*");
    assert_eq!(check(&list, "t13d1516h2_8aa000000000_000000000000").unwrap(), "t13*8aa*");
    assert_eq!(check(&list, "t12d1516h2_8aa000000000_000000000000"), None);
    // Equally sure: the one that says more.
    let even = [ja4("t13*", 50), ja4(SLIVER, 50), ja4("t13d1909*", 50)].concat();
    assert_eq!(check(&even, SLIVER).unwrap(), SLIVER);
    assert_eq!(check(&even, "t13d1909h2_000000000000_000000000000").unwrap(), "t13d1909*");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_where() {
    let list = format!(
        "{}[[pattern]]\ntype = 'ja5'\nmatch = 3\nconfidence = 101\nnote = 'n'\ncolour = 'red'\n{}{}{}",
        ja4("t13d19*", 10),
        ja4("t13d19*", 20),
        ja4("***", 20),
        ja4("t13d1909", 20),
    );
    let faults = KnownBadList::parse(&list).unwrap_err();
    let told: Vec<String> =
        faults.faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect();
    assert_eq!(
        told,
        [
            "7:1 category is missing",
            "8:8 'ja5' is no type; there are ja4, ja4s, ja4t, ja4ts, ja4l, ja4ls, ja4h, ja4x, ja4ssh, ja4d, ja4d6",
            "9:9 match is a text in quotes",
            "10:14 confidence is a whole number from 0 to 100",
            "12:1 'colour' is unknown; there are type, match, category, confidence, note",
            "13:1 't13d19*' stands here twice",
            "21:9 '***' matches every ja4",
            "27:9 't13d1909' is no ja4; * stands for what may differ",
        ],
    );
}

#[test]
fn broken_toml_and_other_tables_are_told() {
    let told = |text: &str| KnownBadList::parse(text).unwrap_err().to_string();
    assert!(told("[[pattern]]\ntype = 'ja4\n").starts_with("line 2, column "));
    assert_eq!(
        told("\n[patern]\n"),
        "line 2, column 2: 'patern' is unknown; the file holds [[pattern]] and nothing else"
    );
    assert_eq!(told("pattern = 3\n"), "line 1, column 11: write [[pattern]] for each of them");
    let many = ja4("x", 1).repeat(40);
    assert!(told(&many).ends_with("; and 8 more"), "{}", told(&many));
}

/// The obvious way.
fn naive(pattern: &[u8], value: &[u8]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some((b'*', rest)) => (0..=value.len()).any(|at| naive(rest, &value[at..])),
        Some((byte, rest)) => value.first() == Some(byte) && naive(rest, &value[1..]),
    }
}

proptest! {
    #[test]
    fn stars_stand_for_anything(pattern in "[ab*]{0,8}", value in "[ab]{0,10}") {
        prop_assert_eq!(matches(&pattern, &value), naive(pattern.as_bytes(), value.as_bytes()));
    }
}

#[test]
fn an_extra_list_adds_patterns_and_replaces_those_of_the_same_text() {
    let entry = |matches: &str, note: &str| {
        format!("[[pattern]]\ntype = 'ja4h'\nmatch = '{matches}'\ncategory = 'c'\nconfidence = 50\nnote = '{note}'\n")
    };
    let list = |entries: &[(&str, &str)]| {
        let text: String = entries.iter().map(|(matches, note)| entry(matches, note)).collect();
        KnownBadList::parse(&text).unwrap()
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
        KnownBadList::parse(&text).unwrap()
    };
    assert_eq!(many('a').extended(many('b')).unwrap_err(), Method::Ja4h);
}
