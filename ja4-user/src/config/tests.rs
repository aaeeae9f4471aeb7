use std::fs;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::*;
use crate::capture::attach::HookChoice;
use crate::detect::DetectionContent;
use crate::output::alert::SinkConfig;
use crate::units::{Size, Span};

const EXAMPLE: &str = include_str!("../../../packaging/ja4sensor.toml");

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let parsed = Config::parse(Path::new("s.toml"), text);
    parsed.map_err(|report| report.issues.iter().map(Issue::to_string).collect())
}

fn errors(text: &str) -> Vec<String> {
    parse(text).unwrap_err()
}

/// The keys of a section by the error that an unknown one gives; `None` for what is no section.
fn keys(section: &str) -> Option<Vec<String>> {
    let text = if section.is_empty() { "zzzzzzzzzz = 1".to_owned() } else { format!("[{section}]\nzzzzzzzzzz = 1") };
    let error = errors(&text).into_iter().find(|error| error.contains("zzzzzzzzzz"))?;
    let (_, keys) = error.split_once("there are ").unwrap();
    Some(keys.split(", ").map(str::to_owned).collect())
}

/// Every key that there is.
fn all_keys(section: &str, into: &mut Vec<String>) {
    for key in keys(section).unwrap() {
        let path = if section.is_empty() { key } else { format!("{section}.{key}") };
        if path == "alerts.sink" {
            let unknown = errors("[[alerts.sink]]\nkind = \"file\"\nzzzzzzzzzz = 1").remove(0);
            let (_, keys) = unknown.split_once("there are ").unwrap();
            into.extend(keys.split(", ").map(|key| format!("{path}.{key}")));
        } else if keys(&path).is_some() {
            all_keys(&path, into);
        } else {
            into.push(path);
        }
    }
}

fn has(table: &DeTable<'_>, path: &str) -> bool {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (table.get(key).map(|value| value.get_ref()), rest) {
        (Some(_), None) => true,
        (Some(DeValue::Table(table)), Some(rest)) => has(table, rest),
        (Some(DeValue::Array(list)), Some(rest)) => has(list[0].get_ref().as_table().unwrap(), rest),
        _ => false,
    }
}

/// The example with its commented keys in force.
fn uncommented() -> String {
    let line = |line: &str| {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        let is_key = inner.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        if is_key || inner.starts_with("[[") { inner.to_owned() } else { line.to_owned() }
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_what_holds_without_a_file() {
    assert_eq!(parse(EXAMPLE), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_example_has_every_key() {
    let mut all = Vec::new();
    all_keys("", &mut all);
    assert!(all.len() > 100, "{all:?}");
    let text = uncommented();
    let table = DeTable::parse(&text).unwrap();
    let missing: Vec<_> = all.iter().filter(|path| !has(table.get_ref(), path)).collect();
    assert!(missing.is_empty(), "packaging/ja4sensor.toml lacks {missing:?}");
    // What is commented out could stand there.
    assert_eq!(parse(&text).map(|config| config.alerts.sink.len()), Ok(1));
}

#[test]
fn the_example_names_the_defaults_of_sinks() {
    let text = uncommented();
    let config = parse(&text).unwrap();
    let minimal = "[[alerts.sink]]\nkind = \"webhook\"\nurl = \"https://hooks.example/x\"";
    let minimal = SinkConfig::check(&parse(minimal).unwrap().alerts.sink).unwrap();
    let sink = SinkConfig {
        name: None,
        headers: None,
        hmac_key: None,
        hmac_key_file: None,
        address: None,
        transport: None,
        facility: None,
        message: None,
        enterprise: None,
        server_name: None,
        ca_file: None,
        path: None,
        ..config.alerts.sink[0].clone()
    };
    assert_eq!(SinkConfig::check(&[sink]), Ok(minimal));
}

#[test]
fn settings_are_read() {
    let config = parse(
        "[capture]\ninterfaces = ['eth0', 'eth1']\nhook = 'tc'\nring_size = '1MiB'\nidle_timeout = '90s'\nshards = 2\n\
         [output]\ntypes = ['ja4', 'stats']\nstats_interval = '0'\n[network]\nlocal = ['192.0.2.0/24']\n\
         [builtin.beacon]\nintervals = 12\n[storage]\nmax_age = '30d'\nmax_size = '2GiB'\n[http]\nlisten = '[::1]:80'",
    )
    .unwrap();
    let Capture { interfaces, hook, ring_size, idle_timeout, shards, .. } = config.capture;
    assert_eq!((interfaces.len(), hook, shards), (2, HookChoice::Tc, Some(2)));
    assert_eq!((ring_size, idle_timeout), (Size(1 << 20), Span::seconds(90)));
    assert_eq!(config.output.types, "ja4,stats".parse().unwrap());
    assert_eq!((config.output.stats_interval, config.builtin.beacon.intervals), (Span::default(), 12));
    let retention = config.storage.options().retention;
    assert_eq!((retention.max_age.unwrap().as_secs(), retention.max_bytes), (30 * 86_400, Some(2 << 30)));
    assert_eq!(config.http.listen, Listen::At("[::1]:80".parse().unwrap()));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let told = errors(
        "[captur]\nx = 1\n[capture]\nshards = 'many'\nhook = 'xpd'\ninterfaces = ['a', 1]\nmax_connections = -1\n\
         ring_size = '1KiB'\n[builtin.beacon]\ninterval = 3\ncooldown = '1 hour'\nintervals = 99\nvariation = 2\n\
         [builtin.many_ja4]\nthreshold = 0\n\
         [[alerts.sink]]\nname = 'x'\n[[alerts.sink]]\nkind = 'file'\ncolour = 1\n[storage]\npath = 1\nmax_size = '2GB'\n\
         [lookup.remote]\nendpoint = 'http://db.example/'\nmethods = ['ja5']\n[http]\nlisten = 'localhost'",
    );
    let expected = [
        "s.toml:1:2: there is no section \"captur\"; did you mean \"capture\"?",
        "s.toml:4:10: capture.shards must be a whole number, not a text",
        "s.toml:5:8: capture.hook must be one of auto, native, generic, tc, not \"xpd\"",
        "s.toml:6:20: capture.interfaces 2 must be a text, not a whole number",
        "s.toml:7:19: capture.max_connections must be a whole number from 0 to 4294967295, not -1",
        "s.toml:8:1: capture.ring_size is 1KiB; it must be from 64KiB to 1GiB",
        "s.toml:10:1: builtin.beacon has no key \"interval\"; did you mean \"intervals\"?",
        "s.toml:11:12: builtin.beacon.cooldown: '1 hour' is no duration; write a number and ms, s, m, h, d or w, such \
         as 5m",
        "s.toml:12:1: builtin.beacon.intervals is 99; it must lie between 3 and 32",
        "s.toml:13:1: builtin.beacon.variation is 2; it must lie between 0 and 1",
        "s.toml:15:1: builtin.many_ja4.threshold is 0; it must lie between 1 and 127",
        "s.toml:16:1: alerts.sink 1: 'kind' is missing",
        "s.toml:20:1: alerts.sink 2 has no key \"colour\"; there are kind, name,",
        "s.toml:22:8: storage.path must be a text, not a whole number",
        "s.toml:23:12: storage.max_size: '2GB' is no size; write a number and KiB, MiB, GiB or TiB, such as 512MiB, or \
         bytes",
        "s.toml:25:1: lookup.remote.endpoint 'http://db.example/' is not https;",
        "s.toml:26:11: lookup.remote.methods: 'ja5' is no method; there are ja4,",
        "s.toml:28:10: http.listen: 'localhost' is no address with a port; write \"127.0.0.1:9418\", or \"off\"",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_is_no_toml_is_told_too() {
    assert_eq!(errors("[capture]\nshards = \n").len(), 1);
    assert!(errors("[capture]\nshards = \n")[0].starts_with("s.toml:2:"));
    assert!(errors("[capture]\n[capture]")[0].starts_with("s.toml:2:"));
    assert!(errors("capture = 3")[0].ends_with("capture must be a table, not a whole number"));
    assert!(errors("rules = [1]")[0].ends_with("rules must be a table, not a list"));
    assert!(errors("[[rules]]")[0].contains("rules must be a table"), "{:?}", errors("[[rules]]"));
}

#[test]
fn a_secret_is_in_no_message() {
    let told = errors("[[alerts.sink]]\nkind = 'webhook'\nurl = 'https://h/hidden'\nhmac_key = 'hidden'\nqueue = 'x'");
    assert!(!told.concat().contains("hidden"), "{told:?}");
    let config = parse("[[alerts.sink]]\nkind = 'webhook'\nurl = 'https://h/hidden'").unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
}

#[test]
fn a_hostile_file_ends() {
    let many: String = (0..10_000).map(|number| format!("k{number} = 1\n")).collect();
    assert!(errors(&many).len() <= 201);
    let deep = format!("[capture]\nshards = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(!errors(&deep).is_empty());
    let shown = errors("[capture]\n\"\\u001b[2J\" = 1").remove(0);
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let text = "[lookup]\ndatabases = ['a.csv', '/b.csv']\nknown_bad = 'bad.toml'\nknown_bad_extra = 'more.toml'\n[rules]\nfiles = ['r.toml']\n\
                [allowlist]\nfiles = ['sub/a.toml']\n[storage]\npath = 'h.db'\n[attach]\nsocket = '../s'\n\
                [[alerts.sink]]\nkind = 'file'\npath = 'alerts'";
    let config = Config::parse(Path::new("/etc/ja4/s.toml"), text).unwrap();
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(config.lookup.databases, paths(&["/etc/ja4/a.csv", "/b.csv"]));
    assert_eq!(config.lookup.known_bad, Some("/etc/ja4/bad.toml".into()));
    assert_eq!(config.lookup.known_bad_extra, paths(&["/etc/ja4/more.toml"]));
    assert_eq!(config.rules.files, paths(&["/etc/ja4/r.toml"]));
    assert_eq!(config.allowlist.files, paths(&["/etc/ja4/sub/a.toml"]));
    assert_eq!(config.storage.path, Some("/etc/ja4/h.db".into()));
    assert_eq!(config.attach.socket, Some("/etc/ja4/../s".into()));
    assert_eq!(config.alerts.sink[0].path, Some("/etc/ja4/alerts".into()));
    assert_eq!(Config::parse(Path::new("s.toml"), text).unwrap().storage.path, Some("h.db".into()));
}

#[test]
fn a_listener_is_on_loopback_unless_it_is_asked_elsewhere() {
    let listen = |text: &str| parse(text).unwrap().http.listen;
    let usual = listen("");
    assert!(usual.address().unwrap().ip().is_loopback() && !usual.is_asked_for());
    assert_eq!(listen("[http]\nlisten = ''"), Listen::Off);
    assert_eq!(listen("[http]\nlisten = 'off'").address(), None);
    assert!(listen("[http]\nlisten = '127.0.0.1:9418'").is_asked_for());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "[http]\nlisten = '0.0.0.0:9418'").unwrap();
    let opened = open(Some(&path), |_| {}).unwrap();
    assert_eq!(opened.warnings.len(), 1);
    assert!(opened.warnings[0].to_string().contains("s.toml:2:1: http.listen is 0.0.0.0:9418: whoever"));
}

#[test]
fn the_errors_of_all_files_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "s.toml",
        "[capture]\nshards = 0\n[lookup]\ndatabases = ['d.toml', 'none.csv', 'x.txt']\nknown_bad = 'bad.toml'\n\
         [rules]\nfiles = ['r.toml']\n[allowlist]\nfiles = ['a.toml']\n\
         [[alerts.sink]]\nkind = 'webhook'\nurl = 'http://hooks.example/'\nqueue = 0\n",
    );
    file("d.toml", "[[entry]]\ntype = 'ja4'\n");
    file("bad.toml", "[[pattern]]\ntype = 'ja4'\nmatch = '*'\ncategory = 'x'\nconfidence = 1\nnote = 'x'\n");
    file("r.toml", "[[rule]]\nname = 'r'\n");
    file("a.toml", "[[netwrk]]\n");
    let report = open(Some(&folder.path().join("s.toml")), |_| {}).unwrap_err();
    let told = report.to_string().replace(&format!("{}/", folder.path().display()), "");
    for expected in [
        "s.toml:2:1: capture.shards is 0; it must be from 1 to 64",
        "d.toml:1:1: value or prefix is missing",
        "s.toml:4:24: lookup.databases: none.csv: can't be read: No such file",
        "x.txt: a database is a .csv file",
        "bad.toml:3:9: '*' matches every ja4",
        "a.toml:1:3: an allowlist has no key \"netwrk\"; did you mean \"network\"?",
        "r.toml:1:1: rule \"r\": 'on' is missing",
        "s.toml:12:1: alerts.sink 1: url: is http to another host",
        "s.toml:13:1: alerts.sink 1: queue: is 0; it may be 1 to 65536",
    ] {
        assert!(told.lines().any(|line| line.starts_with(expected)), "{expected}\nis not in\n{told}");
    }
}

#[test]
fn overrides_reach_every_kind_of_rule() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "s.toml",
        "[allowlist]\nfiles = ['a.toml']\n[builtin.many_ja4]\nenabled = false\n[builtin.new_chain]\nenabled = false\n\
         [profiles]\nenabled = false\n",
    );
    file(
        "a.toml",
        "[[override]]\nrule = 'beacon'\nenabled = false\n[[override]]\nrule = 'many_ja4'\nthreshold = 30\n\
         [[override]]\nrule = 'unusual_pair'\nenabled = true\nseverity = 'high'\n\
         [[override]]\nrule = 'new_chain'\nenabled = true\n[[override]]\nrule = 'port_scan'\nenabled = false\n\
         [[override]]\nrule = 'first_seen'\nseverity = 'critical'\nthreshold = 3\n[[override]]\nrule = 'beakon'\nenabled = false\n",
    );
    let Opened { loaded, warnings, .. } = open(Some(&folder.path().join("s.toml")), |_| {}).unwrap();
    let DetectionContent { builtin, profiles, rules, .. } = loaded.knowledge;
    assert!(!builtin.beacon.enabled && !builtin.many_ja4.enabled && builtin.many_ja4.threshold == 30);
    assert!(builtin.new_chain.enabled && profiles.enabled, "switched on again");
    assert_eq!((profiles.severity.name(), builtin.first_seen.severity.name()), ("high", "critical"));
    assert!(rules.iter().all(|rule| &*rule.name != "port_scan") && rules.len() > 5);
    let told: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&"override: rule 'first_seen' has no threshold"), "{told:?}");
    assert!(told.iter().any(|told| told.contains("no rule \"beakon\"; did you mean \"beacon\"?")), "{told:?}");
}

#[test]
fn without_a_file_there_is_what_ships() {
    let Opened { config, loaded, warnings } = open(None, |config| config.output.raw = true).unwrap();
    assert!(config.output.raw && warnings.is_empty() && loaded.sinks.is_empty());
    let DetectionContent { known_bad, rules, allow, .. } = loaded.knowledge;
    assert!(!known_bad.is_empty() && !rules.is_empty() && allow.is_empty());
}

#[test]
fn what_the_system_lacks_is_told_by_an_examination() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "[capture]\ninterfaces = ['lo', 'ja4-none']\n[storage]\npath = 'no/h.db'\n[attach]\nsocket = '.'")
        .unwrap();
    assert!(open(Some(&path), |_| {}).is_ok());
    let told = examine(Some(&path), |_| {}).unwrap_err().to_string();
    let told = told.replace(&format!("{}/", folder.path().display()), "");
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[0].starts_with("s.toml:2:21: capture.interfaces: cannot find interface \"ja4-none\"; expected one of "),
        "{told}"
    );
    assert!(lines[1].starts_with("s.toml:4:1: storage.path: there is no folder no; make it"), "{told}");
    assert!(lines[2].starts_with("s.toml:6:1: attach.socket: . is a folder"), "{told}");
}

#[test]
fn further_known_bad_patterns_are_one_file_or_a_list() {
    let extra =
        |value: &str| parse(&format!("[lookup]\nknown_bad_extra = {value}")).map(|it| it.lookup.known_bad_extra);
    assert_eq!(extra("'a.toml'").unwrap(), [PathBuf::from("a.toml")]);
    assert_eq!(extra("['a.toml', 'b.toml']").unwrap(), ["a.toml", "b.toml"].map(PathBuf::from));
    assert!(extra("[]").unwrap().is_empty());
    let error = extra("1").unwrap_err().remove(0);
    assert!(error.contains("lookup.known_bad_extra must be a file or a list of files, not a whole number"), "{error}");
    assert!(extra("['a.toml', 2]").unwrap_err().remove(0).contains("lookup.known_bad_extra 2 must be "));
}
