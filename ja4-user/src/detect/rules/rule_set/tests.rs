use std::fs;

use super::*;

/// The report on a file of this text.
fn report(text: &str) -> String {
    RuleSet::parse(Path::new("r.toml"), text).unwrap_err().to_string()
}

/// A rule that is right, but for what is put in place of its lines of these keys.
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
fn a_rule_as_documented_is_what_it_says() {
    let text = rule(&[("severity", "severity = \"high\""), ("description", "description = \"words\"")]);
    let set = RuleSet::parse(Path::new("r.toml"), &text).unwrap();
    let rule = set.iter().next().unwrap();
    assert_eq!((&*rule.name, &*rule.description, rule.severity.name()), ("a", "words", "high"));
    assert_eq!((rule.threshold.needed(), rule.window.as_secs(), rule.cooldown.as_secs()), (21, 300, 600));
}

#[test]
fn what_is_left_out_has_a_default() {
    let text = rule(&[("where", ""), ("group_by", ""), ("measure", ""), ("mode", ""), ("cooldown", "")]);
    let set = RuleSet::parse(Path::new("r.toml"), &text).unwrap();
    let rule = set.iter().next().unwrap();
    assert_eq!((&*rule.description, rule.severity.name(), rule.cooldown), ("a", "medium", rule.window));
    assert!(rule.conditions.is_empty() && rule.group_by.is_empty());
}

#[test]
fn each_error_has_its_line_and_words() {
    let table = [
        (rule(&[("name", "")]), "r.toml:1:1: rule 1: 'name' is missing"),
        (
            rule(&[("name", "name = \"A b\"")]),
            "r.toml:2:8: a rule's name is made of a-z, 0-9, '_', '-' and '.', at most 64 of them; not \"A b\"",
        ),
        (
            rule(&[("on", "on = \"flow\"")]),
            "r.toml:3:6: rule \"a\": on must be one of connection, fingerprint, not \"flow\"",
        ),
        (
            rule(&[("severity", "severity = 3")]),
            "r.toml:11:12: rule \"a\": severity must be a text, not a whole number",
        ),
        (
            wheres("field = \"dest_prt\", op = \"eq\", value = 1"),
            "r.toml:4:20: rule \"a\": where: unknown field \"dest_prt\"; did you mean \"dest_port\"?",
        ),
        (
            wheres("field = \"fingerprint.value\", op = \"eq\", value = \"x\""),
            "r.toml:4:20: rule \"a\": where: only a rule on = \"fingerprint\" has the field \"fingerprint.value\"; \
             a connection has \"ja4\", \"ja4s\" and so on",
        ),
        (
            wheres("field = \"dest_port\", op = \"equals\", value = 1"),
            "r.toml:4:38: rule \"a\": where: unknown op \"equals\"; there are eq, ne, lt, lte, gt, gte, in, not_in, \
             prefix, contains, regex, cidr, exists",
        ),
        (
            wheres("field = \"dest_port\", op = \"prefix\", value = \"4\""),
            "r.toml:4:38: rule \"a\": where: \"dest_port\" is a number, which prefix can't compare; \
             there are eq, ne, lt, lte, gt, gte, in, not_in, exists",
        ),
        (
            wheres("field = \"dest_port\", op = \"eq\", value = \"22\""),
            "r.toml:4:52: rule \"a\": where: \"dest_port\" eq: must be a whole number, not \"22\"",
        ),
        (
            wheres("field = \"dest_port\", op = \"in\", value = 22"),
            "r.toml:4:52: rule \"a\": where: \"dest_port\" in must be a list, not a whole number",
        ),
        (
            wheres("field = \"dest_port\", op = \"in\", value = []"),
            "r.toml:4:52: rule \"a\": where: \"dest_port\" in: a list has 1 to 4096 values, not 0",
        ),
        (
            wheres("field = \"src_ip\", op = \"eq\", value = \"10.0.0.0/8\""),
            "r.toml:4:49: rule \"a\": where: \"src_ip\" eq: must be an IP address such as \"10.0.0.1\" \
             (networks: op = \"cidr\"), not \"10.0.0.0/8\"",
        ),
        (
            wheres("field = \"src_ip\", op = \"cidr\", value = [\"10.0.0.1/8\", \"x\"]"),
            "r.toml:4:52: rule \"a\": where: \"src_ip\" cidr: must be a network; the one of that address is 10.0.0.0/8, \
             not \"10.0.0.1/8\"\n\
             r.toml:4:66: rule \"a\": where: \"src_ip\" cidr: must be a network such as \"10.0.0.0/8\", not \"x\"",
        ),
        (
            wheres("field = \"tls.sni\", op = \"regex\", value = \"a(b\""),
            "r.toml:4:53: rule \"a\": where: \"tls.sni\" regex: no regular expression: unclosed group",
        ),
        (
            wheres("field = \"tls.sni\", op = \"regex\", value = \"(\\\\w{1000}){1000}\""),
            "r.toml:4:53: rule \"a\": where: \"tls.sni\" regex: the regular expression takes more than 256 KiB",
        ),
        (
            wheres("field = \"connection.state\", op = \"eq\", value = \"finished\""),
            "r.toml:4:59: rule \"a\": where: \"connection.state\" eq: must be one of fin, rst, idle, evicted, reused, open, \
             not \"finished\"",
        ),
        (
            wheres("field = \"connection.duration\", op = \"gt\", value = 90"),
            "r.toml:4:62: rule \"a\": where: \"connection.duration\" gt: must be a duration such as \"90s\", \"5m\" or \"1h\", not 90",
        ),
        (wheres("field = \"tls.sni\", op = \"eq\""), "r.toml:4:10: rule \"a\": where: 'value' is missing"),
        (
            wheres("field = \"tls.sni\", op = \"exists\", value = 1"),
            "r.toml:4:54: rule \"a\": where: \"tls.sni\" exists: must be true or false, not 1",
        ),
        (
            rule(&[("group_by", "group_by = [\"src_ip\", \"src_ip\"]")]),
            "r.toml:5:23: rule \"a\": group_by names \"src_ip\" twice",
        ),
        (
            rule(&[("measure", "measure = \"sum\"")]),
            "r.toml:6:11: rule \"a\": measure must be \"count\" or { count_distinct = \"…\" }, not \"sum\"",
        ),
        (
            rule(&[("threshold", "threshold = { op = \"lt\", value = 5 }")]),
            "r.toml:7:20: rule \"a\": threshold: op must be gt or gte, not lt: what is counted starts at 1, \
             and only too much is told",
        ),
        (
            rule(&[("threshold", "threshold = { op = \"gte\", value = 0 }")]),
            "r.toml:7:35: rule \"a\": threshold: value must be from 1 to 1000 for a count_distinct, not 0",
        ),
        (
            rule(&[("measure", "measure = \"count\""), ("threshold", "threshold = { op = \"gt\", value = 10_000 }")]),
            "r.toml:7:34: rule \"a\": threshold: value must be from 0 to 9999 for a count, not 10000",
        ),
        (rule(&[("window", "window = \"0s\"")]), "r.toml:8:10: rule \"a\": window must be from 1ms to 7d, not 0s"),
        (rule(&[("window", "window = \"8d\"")]), "r.toml:8:10: rule \"a\": window must be from 1ms to 7d, not 8d"),
        (
            rule(&[("window", "window = 300")]),
            "r.toml:8:10: rule \"a\": window must be a duration such as \"90s\", \"5m\" or \"1h\", not a whole number",
        ),
        (
            rule(&[("cooldown", "cooldown = \"0s\"")]),
            "r.toml:10:12: rule \"a\": cooldown must be from 1s to 7d, not 0s",
        ),
        (
            rule(&[("cooldwon", "cooldwon = \"1s\"")]),
            "r.toml:11:1: rule \"a\" has no key \"cooldwon\"; did you mean \"cooldown\"?",
        ),
        (
            format!("{}{}", rule(&[]), rule(&[])),
            "r.toml:12:8: rule \"a\": there is one of this name already, at r.toml:2:8",
        ),
        ("[rule]\nname = \"a\"".to_owned(), "r.toml:1:1: rules are written as [[rule]], with two brackets"),
        ("rules = 1".to_owned(), "r.toml:1:1: a file of rules has no key \"rules\"; did you mean \"rule\"?"),
    ];
    for (text, expected) in table {
        assert_eq!(report(&text), expected, "{text}");
    }
}

#[test]
fn all_errors_of_all_files_are_told_at_once_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, none] = ["one.toml", "two.toml", "none.toml"].map(|name| folder.path().join(name));
    fs::write(&one, rule(&[("on", "on = \"x\""), ("where", "where = [{ field = \"é\", op = 1 }, 5]"), ("window", "")]))
        .unwrap();
    fs::write(&two, "[[rule]]\nname = \"b\n").unwrap();
    let report = RuleSet::load(true, &[none, one, two]).unwrap_err().to_string();
    let report = report.replace(&format!("{}/", folder.path().display()), "");
    let expected = "\
none.toml: can't be opened: No such file or directory (os error 2)
one.toml:1:1: rule \"a\": 'window' is missing
one.toml:3:6: rule \"a\": on must be one of connection, fingerprint, not \"x\"
one.toml:4:20: rule \"a\": where: unknown field \"é\"
one.toml:4:30: rule \"a\": where: op must be a text, not a whole number
one.toml:4:35: rule \"a\": where: a condition must be a table, not a whole number
two.toml:2:10: not TOML: invalid basic string, expected `\"`";
    assert_eq!(report, expected);
}

#[test]
fn a_rule_of_the_user_takes_a_shipped_ones_place_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    fs::write(&file, rule(&[("name", "name = \"port_scan\"")])).unwrap();
    let (set, warnings) = RuleSet::load(true, std::slice::from_ref(&file)).unwrap();
    assert_eq!((set.len(), warnings.len()), (11, 1));
    assert_eq!(
        warnings.first().unwrap().to_string(),
        format!("{}:2:8: rule \"port_scan\" takes the place of the shipped rule of that name", file.display())
    );
    let scan = set.iter().find(|rule| &*rule.name == "port_scan").unwrap();
    assert_eq!(scan.threshold.needed(), 21);
    assert_eq!(RuleSet::load(false, &[file]).unwrap().1, []);
}

#[test]
fn a_capture_given_for_rules_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, long] = ["a.pcap", "long"].map(|name| folder.path().join(name));
    fs::write(&capture, [0xd4, 0xc3, 0xb2, 0xa1]).unwrap();
    fs::write(&long, vec![b'#'; 2 << 20]).unwrap();
    let error = |path: &Path| {
        let report = RuleSet::load(false, &[path.to_owned()]).unwrap_err().to_string();
        report.replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(error(&capture), "a.pcap: is not UTF-8 text");
    assert_eq!(error(&long), "long: is longer than 1024 KiB; split it");
}

#[test]
fn a_file_made_to_hurt_the_reader_is_refused() {
    for text in ["rule = ".to_owned() + &"[".repeat(100_000), "a.".repeat(100_000), "{".repeat(100_000)] {
        assert!(report(&text).contains("not TOML"));
    }
    let wrong: String = (0..200).map(|number| format!("x{number} = 1\n")).collect();
    assert!(report(&wrong).ends_with("\nand 150 more"));
}
