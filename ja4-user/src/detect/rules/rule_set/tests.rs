use std::fs;
use std::num::NonZeroU32;

use super::*;
use crate::model::signature_id::BUILTIN_RULES;

/// The errors of a file with this text.
fn report(text: &str) -> String {
    RuleSet::parse(Path::new("r.toml"), text).unwrap_err().to_string()
}

/// A valid rule with changed lines for these keys.
fn rule(changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("name", "name = \"a\""),
        ("on", "on = \"connection\""),
        ("where", "where = [{ field = \"dest_port\", op = \"eq\", value = 22 }]"),
        ("group_by", "group_by = [\"src_ip\"]"),
        ("measure", "measure = { count_distinct = \"dest_ip\" }"),
        ("threshold", "threshold = { op = \"gt\", value = 20 }"),
        ("window", "window = \"5m\""),
        ("mode", "mode = \"sliding\""),
        ("cooldown", "cooldown = \"10m\""),
    ];
    for (key, line) in changes {
        match lines.iter_mut().find(|(own, _)| own == key) {
            Some(found) => found.1 = line,
            None => lines.push((key, line)),
        }
    }
    let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).filter(|line| !line.is_empty()).collect();
    format!("[[rule]]\n{}\n", lines.join("\n"))
}

fn wheres(condition: &str) -> String {
    rule(&[("where", &format!("where = [{{ {condition} }}]"))])
}

#[test]
fn a_documented_rule_is_read() {
    let text = rule(&[("severity", "severity = \"high\""), ("description", "description = \"words\"")]);
    let set = RuleSet::parse(Path::new("r.toml"), &text).unwrap();
    let rule = set.iter().next().unwrap();
    assert_eq!((&*rule.name, &*rule.description, rule.severity.name()), ("a", "words", "high"));
    assert_eq!((rule.threshold.needed(), rule.window.as_secs(), rule.cooldown.as_secs()), (21, 300, 600));
}

#[test]
fn optional_keys_have_defaults() {
    let text = rule(&[("where", ""), ("group_by", ""), ("measure", ""), ("mode", ""), ("cooldown", "")]);
    let set = RuleSet::parse(Path::new("r.toml"), &text).unwrap();
    let rule = set.iter().next().unwrap();
    assert_eq!((&*rule.description, rule.severity.name(), rule.cooldown), ("a", "medium", rule.window));
    assert!(rule.conditions.is_empty() && rule.group_by.is_empty());
    assert_eq!(rule.sid, None);
}

#[test]
fn a_sid_belongs_to_one_rule() {
    let [first, second] = ["a", "b"].map(|name| rule(&[("name", &format!("name = \"{name}\"\nsid = 4_000_000"))]));
    let set = RuleSet::parse(Path::new("r.toml"), &first).unwrap();
    assert_eq!(set.iter().next().unwrap().sid, NonZeroU32::new(4_000_000));
    assert_eq!(
        report(&format!("{first}{second}")),
        "r.toml:13:8: rule 'b': sid 4000000 is that of rule 'a'; choose another number"
    );
}

#[test]
fn every_builtin_rule_has_a_signature_id() {
    let (set, _) = RuleSet::load(true, &[]).unwrap();
    let builtin = BuiltinRule::ALL.map(BuiltinRule::name).into_iter().chain([profile::RULE, STORAGE_FAILURE]);
    let names: Vec<_> = builtin.chain(set.iter().map(|rule| &*rule.name)).collect();
    let numbered: Vec<_> = BUILTIN_RULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, numbered);
}

#[test]
fn each_error_has_its_position_and_message() {
    let table = [
        (rule(&[("name", "")]), "r.toml:1:1: rule 1: missing key 'name'"),
        (
            rule(&[("name", "name = \"A b\"")]),
            "r.toml:2:8: rule 'A b': name: expected 1 to 64 of a-z, 0-9, '_', '-' and '.', found 'A b'",
        ),
        (
            rule(&[("on", "on = \"flow\"")]),
            "r.toml:3:6: rule 'a': on: unknown value 'flow': expected connection or fingerprint",
        ),
        (
            rule(&[("severity", "severity = 3")]),
            "r.toml:11:12: rule 'a': severity: expected a string, found an integer",
        ),
        (
            wheres("field = \"dest_prt\", op = \"eq\", value = 1"),
            "r.toml:4:20: rule 'a': where 1: field: unknown field 'dest_prt'; did you mean 'dest_port'?",
        ),
        (
            wheres("field = \"fingerprint.value\", op = \"eq\", value = \"x\""),
            "r.toml:4:20: rule 'a': where 1: field 'fingerprint.value' needs on = \"fingerprint\"; \
             a connection has the fields 'ja4', 'ja4s' and so on",
        ),
        (
            wheres("field = \"dest_port\", op = \"equals\", value = 1"),
            "r.toml:4:38: rule 'a': where 1: op: unknown value 'equals': expected eq, ne, lt, lte, gt, gte, in, not_in, \
             prefix, contains, regex, cidr or exists",
        ),
        (
            wheres("field = \"dest_port\", op = \"prefix\", value = \"4\""),
            "r.toml:4:38: rule 'a': where 1: operator 'prefix' does not fit 'dest_port', which is a number; \
             expected eq, ne, lt, lte, gt, gte, in, not_in or exists",
        ),
        (
            wheres("field = \"dest_port\", op = \"eq\", value = \"22\""),
            "r.toml:4:52: rule 'a': where 1: 'dest_port' eq: expected an integer, found '22'",
        ),
        (
            wheres("field = \"dest_port\", op = \"in\", value = 22"),
            "r.toml:4:52: rule 'a': where 1: 'dest_port' in: expected an array, found 22",
        ),
        (
            wheres("field = \"dest_port\", op = \"in\", value = []"),
            "r.toml:4:52: rule 'a': where 1: 'dest_port' in: expected 1 to 4096 values, found 0",
        ),
        (
            wheres("field = \"src_ip\", op = \"eq\", value = \"10.0.0.0/8\""),
            "r.toml:4:49: rule 'a': where 1: 'src_ip' eq: expected an IP address such as '10.0.0.1' \
             (networks: op = \"cidr\"), found '10.0.0.0/8'",
        ),
        (
            wheres("field = \"src_ip\", op = \"cidr\", value = [\"10.0.0.1/8\", \"x\"]"),
            "r.toml:4:52: rule 'a': where 1: 'src_ip' cidr: '10.0.0.1/8' is an address in a network; write '10.0.0.0/8'\n\
             r.toml:4:66: rule 'a': where 1: 'src_ip' cidr: expected a network such as '10.0.0.0/8', found 'x'",
        ),
        (
            wheres("field = \"tls.sni\", op = \"regex\", value = \"a(b\""),
            "r.toml:4:53: rule 'a': where 1: 'tls.sni' regex: not a regular expression: unclosed group",
        ),
        (
            wheres("field = \"tls.sni\", op = \"regex\", value = \"(\\\\w{1000}){1000}\""),
            "r.toml:4:53: rule 'a': where 1: 'tls.sni' regex: the regular expression needs more than 256 KiB",
        ),
        (
            wheres("field = \"connection.state\", op = \"eq\", value = \"finished\""),
            "r.toml:4:59: rule 'a': where 1: 'connection.state' eq: expected fin, rst, idle, evicted, reused or open, \
             found 'finished'",
        ),
        (
            wheres("field = \"connection.duration\", op = \"gt\", value = 90"),
            "r.toml:4:62: rule 'a': where 1: 'connection.duration' gt: expected a duration such as '90s', '5m' or '1h', found 90",
        ),
        (wheres("field = \"tls.sni\", op = \"eq\""), "r.toml:4:10: rule 'a': where 1: missing key 'value'"),
        (
            wheres("field = \"tls.sni\", op = \"exists\", value = 1"),
            "r.toml:4:54: rule 'a': where 1: 'tls.sni' exists: expected a boolean, found 1",
        ),
        (
            rule(&[("group_by", "group_by = [\"src_ip\", \"src_ip\"]")]),
            "r.toml:5:23: rule 'a': group_by: 'src_ip' is listed twice",
        ),
        (
            rule(&[("measure", "measure = \"sum\"")]),
            "r.toml:6:11: rule 'a': measure: expected \"count\" or { count_distinct = \"…\" }, found string \"sum\"",
        ),
        (
            rule(&[("on", "on = \"connection\"\nsid = 1_400_001")]),
            "r.toml:4:7: rule 'a': sid: 1400001 is out of range; expected a value from 1 to 999999999 that is not from \
             1400000 to 1499999, the numbers of built-in rules",
        ),
        (
            rule(&[("threshold", "threshold = { op = \"lt\", value = 5 }")]),
            "r.toml:7:20: rule 'a': threshold.op: unknown value 'lt'; did you mean 'gt'?",
        ),
        (
            rule(&[("threshold", "threshold = { op = \"gte\", value = 0 }")]),
            "r.toml:7:35: rule 'a': threshold.value: 0 is out of range for count_distinct; expected a value from 1 to 1000",
        ),
        (
            rule(&[("measure", "measure = \"count\""), ("threshold", "threshold = { op = \"gt\", value = 10_000 }")]),
            "r.toml:7:34: rule 'a': threshold.value: 10000 is out of range for count; expected a value from 0 to 9999",
        ),
        (
            rule(&[("window", "window = \"0s\"")]),
            "r.toml:8:10: rule 'a': window: 0s is out of range; expected a value from 1ms to 7d",
        ),
        (
            rule(&[("window", "window = \"8d\"")]),
            "r.toml:8:10: rule 'a': window: 8d is out of range; expected a value from 1ms to 7d",
        ),
        (
            rule(&[("window", "window = 300")]),
            "r.toml:8:10: rule 'a': window: expected a duration such as \"90s\", \"5m\" or \"1h\", found an integer",
        ),
        (
            rule(&[("cooldown", "cooldown = \"0s\"")]),
            "r.toml:10:12: rule 'a': cooldown: 0s is out of range; expected a value from 1s to 7d",
        ),
        (
            rule(&[("cooldwon", "cooldwon = \"1s\"")]),
            "r.toml:11:1: rule 'a': unknown key 'cooldwon'; did you mean 'cooldown'?",
        ),
        (format!("{}{}", rule(&[]), rule(&[])), "r.toml:12:8: rule 'a' is defined already, at r.toml:2:8"),
        ("[rule]\nname = \"a\"".to_owned(), "r.toml:1:1: expected an array of tables; write [[rule]] before each"),
        ("rules = 1".to_owned(), "r.toml:1:1: unknown key 'rules'; did you mean 'rule'?"),
    ];
    for (text, expected) in table {
        assert_eq!(report(&text), expected, "{text}");
    }
}

#[test]
fn all_errors_of_all_files_are_reported_at_once_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, none] = ["one.toml", "two.toml", "none.toml"].map(|name| folder.path().join(name));
    fs::write(&one, rule(&[("on", "on = \"x\""), ("where", "where = [{ field = \"é\", op = 1 }, 5]"), ("window", "")]))
        .unwrap();
    fs::write(&two, "[[rule]]\nname = \"b\n").unwrap();
    let report = RuleSet::load(true, &[none, one, two]).unwrap_err().to_string();
    let report = report.replace(&format!("{}/", folder.path().display()), "");
    let expected = "\
none.toml: cannot open the file: No such file or directory (os error 2)
one.toml:1:1: rule 'a': missing key 'window'
one.toml:3:6: rule 'a': on: unknown value 'x': expected connection or fingerprint
one.toml:4:20: rule 'a': where 1: field: unknown field 'é'
one.toml:4:30: rule 'a': where 1: op: expected a string, found an integer
one.toml:4:35: rule 'a': where 2: expected a table, found an integer
two.toml:2:10: not TOML: invalid basic string, expected `\"`";
    assert_eq!(report, expected);
}

#[test]
fn a_rule_of_a_file_replaces_a_builtin_rule_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    fs::write(&file, rule(&[("name", "name = \"port_scan\"")])).unwrap();
    let (set, warnings) = RuleSet::load(true, std::slice::from_ref(&file)).unwrap();
    assert_eq!((set.len(), warnings.len()), (11, 1));
    assert_eq!(
        warnings.first().unwrap().to_string(),
        format!("{}:2:8: rule 'port_scan' replaces the built-in rule of that name", file.display())
    );
    let scan = set.iter().find(|rule| &*rule.name == "port_scan").unwrap();
    assert_eq!(scan.threshold.needed(), 21);
    assert_eq!(RuleSet::load(false, &[file]).unwrap().1, []);
}

#[test]
fn a_capture_given_for_rules_is_rejected_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, long] = ["a.pcap", "long"].map(|name| folder.path().join(name));
    fs::write(&capture, [0xd4, 0xc3, 0xb2, 0xa1]).unwrap();
    fs::write(&long, vec![b'#'; 2 << 20]).unwrap();
    let error = |path: &Path| {
        let report = RuleSet::load(false, &[path.to_owned()]).unwrap_err().to_string();
        report.replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(error(&capture), "a.pcap: is not UTF-8 text");
    assert_eq!(error(&long), "long: is larger than 1 MiB; split it");
}

#[test]
fn a_hostile_file_is_rejected() {
    for text in ["rule = ".to_owned() + &"[".repeat(100_000), "a.".repeat(100_000), "{".repeat(100_000)] {
        assert!(report(&text).contains("not TOML"));
    }
    let wrong: String = (0..200).map(|number| format!("x{number} = 1\n")).collect();
    assert!(report(&wrong).ends_with("\nand 150 more"));
}
