use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::*;
use crate::api::ListenAddress;
use crate::capture::CaptureSettings;
use crate::capture::attach::HookChoice;
use crate::detect::DetectionContent;
use crate::document::Diagnostic;
use crate::output::alert::{FileSettings, SinkSettings, WebhookSettings};
use crate::units::{ByteSize, HumanDuration};

const EXAMPLE: &str = include_str!("../../../packaging/ja4sensor.toml");

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let parsed = Config::parse(Path::new("s.toml"), text);
    parsed.map_err(|errors| errors.0.iter().map(Diagnostic::to_string).collect())
}

fn errors(text: &str) -> Vec<String> {
    parse(text).unwrap_err()
}

/// Every key that there is.
fn all_keys() -> Vec<String> {
    let path = |key: KeyReference| {
        let section = match key.section.split_once(" (type") {
            // A table of the element follows the parenthesis.
            Some((list, rest)) => format!("{list}{}", rest.split_once(')').unwrap().1),
            None => key.section,
        };
        format!("{section}.{}", key.key)
    };
    reference().into_iter().map(path).collect()
}

fn has(table: &DeTable<'_>, path: &str) -> bool {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (table.get(key).map(|value| value.get_ref()), rest) {
        (Some(_), None) => true,
        (Some(DeValue::Table(table)), Some(rest)) => has(table, rest),
        (Some(DeValue::Array(list)), Some(rest)) => {
            list.iter().any(|element| has(element.get_ref().as_table().unwrap(), rest))
        }
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
fn the_example_has_the_defaults() {
    assert_eq!(parse(EXAMPLE), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_example_has_every_key() {
    let all = all_keys();
    assert!(all.len() > 100, "{all:?}");
    let text = uncommented();
    let table = DeTable::parse(&text).unwrap();
    let missing: Vec<_> = all.iter().filter(|path| !has(table.get_ref(), path)).collect();
    assert!(missing.is_empty(), "packaging/ja4sensor.toml lacks {missing:?}");
    // The commented keys are valid.
    let sinks = text.matches("[[alerts.sink]]").count();
    assert_eq!(parse(&text).map(|config| config.alerts.sink.len()), Ok(sinks));
}

#[test]
fn the_example_has_the_defaults_of_sinks() {
    let config = parse(&uncommented()).unwrap();
    let Some(SinkSettings::Webhook(sink)) = config.alerts.sink.first() else { panic!("{:?}", config.alerts) };
    let minimal = WebhookSettings { url: sink.url.clone(), ..WebhookSettings::default() };
    let (name, headers, hmac_key, hmac_key_file, tls) = Default::default();
    let sink = WebhookSettings { name, headers, hmac_key, hmac_key_file, tls, ..sink.clone() };
    assert_eq!(sink, minimal);
}

#[test]
fn every_key_has_help_and_a_type() {
    for key in reference() {
        assert!(!key.help.is_empty() && !key.value_type.is_empty(), "{key:?}");
    }
    let all = reference();
    let find = |section: &str, key: &str| all.iter().find(|it| it.section == section && it.key == key).unwrap();
    let shards = find("capture", "shards");
    assert_eq!((&*shards.value_type, &shards.default), ("integer", &None));
    assert_eq!(shards.range.as_deref(), Some("from 1 to 64"));
    assert_eq!(find("storage", "flush_after").default.as_deref(), Some("\"200ms\""));
    assert_eq!(find("alerts.sink (type = \"webhook\")", "format").default.as_deref(), Some("\"json\""));
}

#[test]
fn settings_are_read() {
    let config = parse(
        "[capture]\ninterfaces = ['eth0', 'eth1']\nhook = 'tc'\nring_size = '1MiB'\nidle_timeout = '90s'\nshards = 2\n\
         [output]\ntypes = ['ja4', 'stats']\nstats_interval = '0'\n[network]\nlocal = ['192.0.2.0/24']\n\
         [builtin.beacon]\nintervals = 12\n[storage]\nmax_age = '30d'\nmax_size = '2GiB'\n[http]\nlisten = '[::1]:80'",
    )
    .unwrap();
    let CaptureSettings { interfaces, hook, ring_size, idle_timeout, shards, .. } = config.capture;
    assert_eq!((interfaces.len(), hook, shards), (2, HookChoice::Tc, Some(2)));
    assert_eq!((ring_size, idle_timeout), (ByteSize(1 << 20), HumanDuration::seconds(90)));
    assert_eq!(config.output.types, "ja4,stats".parse().unwrap());
    assert_eq!((config.output.stats_interval, config.builtin.beacon.intervals), (HumanDuration::default(), 12));
    let retention = config.storage.options().retention;
    assert_eq!((retention.max_age.unwrap().as_secs(), retention.max_bytes), (30 * 86_400, Some(2 << 30)));
    assert_eq!(config.http.listen, ListenAddress::Configured("[::1]:80".parse().unwrap()));
}

#[test]
fn all_errors_are_reported_with_their_positions() {
    let errors = errors(
        "[captur]\nx = 1\n[capture]\nshards = 'many'\nhook = 'xpd'\ninterfaces = ['a', 1]\nmax_connections = -1\n\
         ring_size = '1KiB'\n[builtin.beacon]\ninterval = 3\ncooldown = '1 hour'\nintervals = 99\nvariation = 2\n\
         [builtin.many_ja4]\nthreshold = 0\n\
         [[alerts.sink]]\nname = 'x'\n[[alerts.sink]]\ntype = 'file'\ncolour = 1\n[storage]\npath = 1\nmax_size = '2GB'\n\
         [lookup.remote]\nendpoint = 'http://db.example/'\nmethods = ['ja5']\n[http]\nlisten = 'localhost'",
    );
    let expected = [
        "s.toml:1:2: unknown section 'captur'; did you mean 'capture'?",
        "s.toml:4:10: capture.shards: expected an integer, found a string",
        "s.toml:5:8: capture.hook: unknown value 'xpd': expected auto, native, generic or tc",
        "s.toml:6:20: capture.interfaces 2: expected a string, found an integer",
        "s.toml:7:19: capture.max_connections: expected an integer from 0 to 4294967295, found -1",
        "s.toml:8:1: capture.ring_size: 1KiB is out of range; expected a value from 64KiB to 1GiB",
        "s.toml:10:1: builtin.beacon: unknown key 'interval'; did you mean 'intervals'?",
        "s.toml:11:12: builtin.beacon.cooldown: '1 hour' is not a duration; write an integer and ms, s, m, h, d or w, \
         such as 5m",
        "s.toml:12:1: builtin.beacon.intervals: 99 is out of range; expected a value from 3 to 32",
        "s.toml:13:1: builtin.beacon.variation: 2 is out of range; expected a value from 0 to 1",
        "s.toml:15:1: builtin.many_ja4.threshold: 0 is out of range; expected a value from 1 to 127",
        "s.toml:16:1: alerts.sink 1: missing key 'type'",
        "s.toml:20:1: alerts.sink 2: unknown key 'colour' for type 'file': expected name, min_severity,",
        "s.toml:22:8: storage.path: expected a string, found an integer",
        "s.toml:23:12: storage.max_size: '2GB' is not a size; write an integer and KiB, MiB, GiB or TiB, such as \
         512MiB, or bytes",
        "s.toml:25:1: lookup.remote.endpoint: 'http://db.example/' is not https;",
        "s.toml:26:12: lookup.remote.methods 1: unknown value 'ja5'; did you mean 'ja4'?",
        "s.toml:28:10: http.listen: 'localhost' is not an address with a port; write \"127.0.0.1:9418\", or \"off\"",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\nis not\n{expected}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
}

#[test]
fn syntax_errors_are_reported() {
    assert_eq!(errors("[capture]\nshards = \n").len(), 1);
    assert!(errors("[capture]\nshards = \n")[0].starts_with("s.toml:2:"));
    assert!(errors("[capture]\n[capture]")[0].starts_with("s.toml:2:"));
    assert!(errors("capture = 3")[0].ends_with("capture: expected a table, found an integer"));
    assert!(errors("rules = [1]")[0].ends_with("rules: expected a table, found an array"));
    assert!(errors("[[rules]]")[0].contains("rules: expected a table"), "{:?}", errors("[[rules]]"));
}

#[test]
fn secrets_are_in_no_message() {
    let errors =
        errors("[[alerts.sink]]\ntype = 'webhook'\nurl = 'https://h/hidden'\nhmac_key = 'hidden'\nqueue = 'x'");
    assert!(!errors.concat().contains("hidden"), "{errors:?}");
    let config = parse("[[alerts.sink]]\ntype = 'webhook'\nurl = 'https://h/hidden'").unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
}

#[test]
fn a_hostile_file_is_read_in_bounded_time() {
    let many: String = (0..10_000).map(|number| format!("k{number} = 1\n")).collect();
    assert!(errors(&many).len() <= 201);
    let deep = format!("[capture]\nshards = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(!errors(&deep).is_empty());
    let shown = errors("[capture]\n\"\\u001b[2J\" = 1").remove(0);
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let text = "[lookup]\ndatabases = ['a.csv', '/b.csv']\nknown_bad = 'bad.toml'\nknown_bad_extra = 'more.toml'\n[rules]\nfiles = ['r.toml']\n\
                [allowlist]\nfiles = ['sub/a.toml']\n[storage]\npath = 'h.db'\n[attach]\nsocket = '../s'\n\
                [[alerts.sink]]\ntype = 'file'\npath = 'alerts'";
    let config = Config::parse(Path::new("/etc/ja4/s.toml"), text).unwrap();
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(config.lookup.databases, paths(&["/etc/ja4/a.csv", "/b.csv"]));
    assert_eq!(config.lookup.known_bad, Some("/etc/ja4/bad.toml".into()));
    assert_eq!(config.lookup.known_bad_extra, paths(&["/etc/ja4/more.toml"]));
    assert_eq!(config.rules.files, paths(&["/etc/ja4/r.toml"]));
    assert_eq!(config.allowlist.files, paths(&["/etc/ja4/sub/a.toml"]));
    assert_eq!(config.storage.path, Some("/etc/ja4/h.db".into()));
    assert_eq!(config.attach.socket, Some("/etc/ja4/../s".into()));
    let SinkSettings::File(FileSettings { path, .. }) = &config.alerts.sink[0] else { panic!("a file") };
    assert_eq!(*path, Some("/etc/ja4/alerts".into()));
    assert_eq!(Config::parse(Path::new("s.toml"), text).unwrap().storage.path, Some("h.db".into()));
}

#[test]
fn the_server_listens_on_loopback_by_default() {
    let listen = |text: &str| parse(text).unwrap().http.listen;
    let usual = listen("");
    assert!(usual.address().unwrap().ip().is_loopback() && !usual.is_configured());
    assert_eq!(listen("[http]\nlisten = ''"), ListenAddress::Off);
    assert_eq!(listen("[http]\nlisten = 'off'").address(), None);
    assert!(listen("[http]\nlisten = '127.0.0.1:9418'").is_configured());
    for port_alone in ["9999", "localhost:9999"] {
        let address = listen(&format!("[http]\nlisten = '{port_alone}'")).address();
        assert_eq!(address, Some("127.0.0.1:9999".parse().unwrap()), "{port_alone}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "[http]\nlisten = '0.0.0.0:9418'").unwrap();
    let opened = open(Some(&path), |_| {}).unwrap();
    assert_eq!(opened.warnings.len(), 1);
    assert!(opened.warnings[0].to_string().contains("s.toml:2:1: http.listen: 0.0.0.0:9418 is not a loopback address"));
}

#[test]
fn the_errors_of_all_files_are_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "s.toml",
        "[capture]\nshards = 0\n[lookup]\ndatabases = ['d.toml', 'none.csv', 'x.txt']\nknown_bad = 'bad.toml'\n\
         [rules]\nfiles = ['r.toml']\n[allowlist]\nfiles = ['a.toml']\n\
         [[alerts.sink]]\ntype = 'webhook'\nurl = 'http://hooks.example/'\nqueue = 0\n",
    );
    file("d.toml", "[[entry]]\ntype = 'ja4'\n");
    file("bad.toml", "[[pattern]]\ntype = 'ja4'\nmatch = '*'\ncategory = 'x'\nconfidence = 1\nnote = 'x'\n");
    file("r.toml", "[[rule]]\nname = 'r'\n");
    file("a.toml", "[[netwrk]]\n");
    let report = open(Some(&folder.path().join("s.toml")), |_| {}).unwrap_err();
    let report = report.to_string().replace(&format!("{}/", folder.path().display()), "");
    for expected in [
        "s.toml:2:1: capture.shards: 0 is out of range; expected a value from 1 to 64",
        "d.toml:1:1: entry 1: missing key 'value' or 'prefix'",
        "s.toml:4:24: lookup.databases: none.csv: cannot open the file: No such file",
        "x.txt: is not a label file; expected a .csv file",
        "bad.toml:3:9: pattern 1: '*' matches every ja4 value",
        "a.toml:1:3: unknown key 'netwrk'; did you mean 'network'?",
        "r.toml:1:1: rule 'r': missing key 'on'",
        "s.toml:12:1: alerts.sink 1: url: is http to another host",
        "s.toml:13:1: alerts.sink 1: queue: 0 is out of range; expected a value from 1 to 65536",
    ] {
        assert!(report.lines().any(|line| line.starts_with(expected)), "{expected}\nis not in\n{report}");
    }
}

#[test]
fn overrides_apply_to_every_kind_of_rule() {
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
    let OpenedConfig { loaded, warnings, .. } = open(Some(&folder.path().join("s.toml")), |_| {}).unwrap();
    let DetectionContent { builtin, profiles, rules, .. } = loaded.content;
    assert!(!builtin.beacon.enabled && !builtin.many_ja4.enabled && builtin.many_ja4.threshold == 30);
    assert!(builtin.new_chain.enabled && profiles.enabled, "enabled again");
    assert_eq!((profiles.severity.name(), builtin.first_seen.severity.name()), ("high", "critical"));
    assert!(rules.iter().all(|rule| &*rule.name != "port_scan") && rules.len() > 5);
    let messages: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.contains(&"override: rule 'first_seen' has no threshold"), "{messages:?}");
    assert!(
        messages.iter().any(|message| message.contains("unknown rule 'beakon'; did you mean 'beacon'?")),
        "{messages:?}"
    );
}

#[test]
fn a_rule_on_ja3_without_ja3_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "[rules]\nfiles = ['r.toml']\n").unwrap();
    let rule = "[[rule]]\nname = 'r'\non = 'fingerprint'\nwindow = '1m'\nthreshold = { op = 'gte', value = 1 }\n\
                where = [{ field = 'tls.ja3s.hash', op = 'eq', value = '15af977ce25de452b96affa2addb1036' }]\n";
    fs::write(folder.path().join("r.toml"), rule).unwrap();
    let warnings = |ja3| open(Some(&path), |config| config.output.ja3 = ja3).unwrap().warnings;
    let [warning] = &warnings(false)[..] else { panic!("not one warning") };
    assert!(
        warning
            .to_string()
            .ends_with("s.toml:2:1: rules.files: rule 'r': tls.ja3s.hash is not computed; set output.ja3 = true"),
        "{warning}"
    );
    assert!(warnings(true).is_empty());
}

#[test]
fn without_a_file_the_builtin_content_is_loaded() {
    let OpenedConfig { config, loaded, warnings } = open(None, |config| config.output.raw = true).unwrap();
    assert!(config.output.raw && warnings.is_empty() && loaded.sinks.is_empty());
    let DetectionContent { known_bad, rules, allowlist, .. } = loaded.content;
    assert!(!known_bad.is_empty() && !rules.is_empty() && allowlist.is_empty());
}

#[test]
fn missing_interfaces_and_directories_are_reported_by_examine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "[capture]\ninterfaces = ['lo', 'ja4-none']\n[storage]\npath = 'no/h.db'\n[attach]\nsocket = '.'")
        .unwrap();
    assert!(open(Some(&path), |_| {}).is_ok());
    let report = examine(Some(&path), |_| {}).unwrap_err().to_string();
    let report = report.replace(&format!("{}/", folder.path().display()), "");
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines.len(), 3, "{report}");
    assert!(
        lines[0].starts_with("s.toml:2:21: capture.interfaces 2: cannot find interface \"ja4-none\"; expected one of "),
        "{report}"
    );
    assert!(lines[1].starts_with("s.toml:4:1: storage.path: there is no directory no; create it"), "{report}");
    assert!(lines[2].starts_with("s.toml:6:1: attach.socket: . is a directory"), "{report}");
}

#[test]
fn extra_known_bad_lists_are_a_file_or_an_array() {
    let extra =
        |value: &str| parse(&format!("[lookup]\nknown_bad_extra = {value}")).map(|it| it.lookup.known_bad_extra);
    assert_eq!(extra("'a.toml'").unwrap(), [PathBuf::from("a.toml")]);
    assert_eq!(extra("['a.toml', 'b.toml']").unwrap(), ["a.toml", "b.toml"].map(PathBuf::from));
    assert!(extra("[]").unwrap().is_empty());
    let error = extra("1").unwrap_err().remove(0);
    assert!(
        error.contains("lookup.known_bad_extra: expected a file or an array of files, found an integer"),
        "{error}"
    );
    assert!(extra("['a.toml', 2]").unwrap_err().remove(0).contains("lookup.known_bad_extra 2: expected "));
}
