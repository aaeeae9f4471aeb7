//! Documentation tests: commands run, examples parse, links resolve.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tests::generate::{self, CaptureKind};
use tests::process::{self, LIMIT};
use tests::{Outcome, Sensor, require_bpf};

/// Scale of the capture that the commands replay: about 150 flows of every protocol.
const SCALE: f64 = 0.005;

/// Exit status of `check` without the privileges of a live run.
const PRIVILEGE_MISSING: i32 = 3;

/// Returns the root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a folder of the repository")
}

/// Returns all documents: the Markdown files at the top level and those in `docs`.
fn documents() -> Vec<PathBuf> {
    let markdown = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("the folder is in the repository");
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    let mut documents = [markdown("."), markdown("docs")].concat();
    documents.sort();
    documents
}

/// A fenced block of a document.
struct FencedBlock {
    /// Info string of the opening fence: `console no-run`.
    info: String,
    text: String,
    /// Location for error messages: `docs/output.md:17`.
    location: String,
}

fn blocks(path: &Path) -> Vec<FencedBlock> {
    let text = fs::read_to_string(path).expect("a document is UTF-8");
    let name = path.strip_prefix(root()).expect("documents are in the repository").display();
    let mut found: Vec<FencedBlock> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                found.push(FencedBlock {
                    info: info.to_owned(),
                    text: String::new(),
                    location: format!("{name}:{number}"),
                });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                let block = found.last_mut().expect("a block is open");
                block.text += line;
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!open, "{name}: a fenced block is not closed");
    found
}

/// Returns the code blocks in this language, of all documents.
fn blocks_in(language: &str) -> Vec<FencedBlock> {
    let has_language = |block: &FencedBlock| block.info.split(' ').next() == Some(language);
    documents().iter().flat_map(|path| blocks(path)).filter(has_language).collect()
}

/// Creates a working folder with the repository's files and a capture.
fn working_folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for name in ["docs", "packaging", "ja4-user"] {
        symlink(root().join(name), folder.path().join(name)).expect("the temporary folder is writable");
    }
    let mut capture = fs::File::create(folder.path().join("capture.pcap")).expect("the temporary folder is writable");
    generate::write(CaptureKind::Everything, SCALE, 14, &mut capture).expect("the capture can be written");
    folder
}

#[test]
fn every_command_runs_as_written() {
    let sensor = Sensor::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = sensor.binary().parent().expect("the binary is in a folder").to_owned();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).expect("a search path");
    let (mut commands, mut failed) = (0, Vec::new());
    for document in documents() {
        // The commands of a document build on each other: one command reads the database that an earlier one wrote.
        let folder = working_folder();
        for block in blocks(&document).iter().filter(|block| block.info == "console") {
            for line in block.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                let mut command = Command::new("sh");
                command.args(["-c", line]).current_dir(folder.path());
                command.env("PATH", &path).env("NO_COLOR", "1").env_remove("RUST_LOG");
                let outcome = Outcome::new(process::run(command, &[], LIMIT));
                if outcome.code() == Some(PRIVILEGE_MISSING) && !require_bpf() {
                    continue;
                }
                if outcome.code() != Some(0) {
                    failed.push(format!("{}: {line}\n{outcome}", block.location));
                }
                commands += 1;
            }
        }
    }
    assert!(failed.is_empty(), "{} of {commands} commands failed:\n{}", failed.len(), failed.join("\n"));
    assert!(commands > 15, "only {commands} commands were found");
}

/// Returns the help of `command` and of all its subcommands, each with the words of its command line.
fn help_texts(sensor: &Sensor, command: &[String]) -> Vec<(Vec<String>, String)> {
    let arguments = [command, &["--help".to_owned()]].concat();
    let text = sensor.run(&arguments).ok().stdout().to_owned();
    let subcommands = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = subcommands.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split(' ').next().unwrap_or_default().to_owned())
    });
    let names: Vec<_> = names.filter(|name| name != "help").collect();
    let mut texts = vec![(command.to_vec(), text)];
    for name in names {
        texts.extend(help_texts(sensor, &[command, &[name]].concat()));
    }
    texts
}

/// Returns the commands of the section `Examples` of a help text.
fn examples(help: &str) -> Vec<&str> {
    let section = help.split("\nExamples:\n").nth(1).unwrap_or_default();
    section.lines().map_while(|line| line.strip_prefix("  ")).collect()
}

#[test]
fn every_command_has_examples_that_run() {
    let sensor = Sensor::new();
    let prepared = working_folder();
    let path = |name: &str| prepared.path().join(name).to_str().expect("temporary names are UTF-8").to_owned();
    let (capture, database) = (path("capture.pcap"), path("ja4.db"));
    sensor.run(&["replay", &capture, "--db", &database]).ok();
    let profiles = sensor.run(&["profiles", "export", &database]).ok().stdout().to_owned();
    fs::write(path("profiles.jsonl"), profiles).expect("the temporary folder is writable");
    fs::copy(root().join("docs/examples/labels.toml"), path("labels.toml")).expect("the example is in the repository");
    let search = std::env::var_os("PATH").unwrap_or_default();
    let programs = sensor.binary().parent().expect("the binary is in a folder").to_owned();
    let search = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&search)));
    let search = search.expect("a search path");
    let texts = help_texts(&sensor, &[]);
    assert!(texts.len() > 15, "only {} commands were found", texts.len());
    for (command, help) in &texts {
        let examples = examples(help);
        assert!(!examples.is_empty(), "{command:?} has no examples:\n{help}");
        // Those with sudo read an interface, and those of `top` need a terminal, see `tests/top`.
        let needs_nothing = |example: &&str| !example.starts_with("sudo ") && !example.contains(" top");
        for example in examples.into_iter().filter(needs_nothing) {
            assert!(example.contains(&command.join(" ")), "{command:?}: {example}");
            let folder = TempDir::new().expect("a temporary folder");
            for name in ["capture.pcap", "ja4.db", "profiles.jsonl", "labels.toml"] {
                fs::copy(path(name), folder.path().join(name)).expect("the temporary folder is writable");
            }
            let mut shell = Command::new("sh");
            shell.args(["-c", example]).current_dir(folder.path());
            shell.env("PATH", &search).env("NO_COLOR", "1").env_remove("RUST_LOG");
            let outcome = Outcome::new(process::run(shell, &[], LIMIT));
            if outcome.code() != Some(PRIVILEGE_MISSING) || require_bpf() {
                assert_eq!(outcome.code(), Some(0), "{example}\n{outcome}");
            }
        }
    }
}

#[test]
fn a_console_block_states_whether_it_runs() {
    for block in blocks_in("console") {
        assert!(matches!(&*block.info, "console" | "console no-run"), "{}: {:?}", block.location, block.info);
        assert!(block.text.lines().any(|line| line.starts_with("$ ")), "{}: no line starts with '$ '", block.location);
    }
}

#[test]
fn every_toml_example_is_valid() {
    let sensor = Sensor::new();
    let blocks = blocks_in("toml");
    assert!(blocks.len() > 3, "only {} examples were found", blocks.len());
    for block in blocks {
        let folder = TempDir::new().expect("a temporary folder");
        let key = match block.info.strip_prefix("toml ") {
            Some("config") => None,
            Some("rules") => Some("rules = { files = [\"example.toml\"] }"),
            Some("allowlist") => Some("allowlist = { files = [\"example.toml\"] }"),
            Some("labels") => Some("lookup = { databases = [\"example.toml\"] }"),
            Some("known-bad") => Some("lookup = { known_bad = \"example.toml\" }"),
            _ => panic!("{}: state what the example is: config, rules, allowlist, labels, known-bad", block.location),
        };
        let config = folder.path().join("config.toml");
        fs::write(folder.path().join("example.toml"), &block.text).expect("the temporary folder is writable");
        fs::write(&config, key.unwrap_or(&block.text)).expect("the temporary folder is writable");
        let capture = root().join("tests/Cargo.toml");
        // A replay reads the configuration before its captures; unlike `check` it needs no privilege. The file is no
        // capture, so status 1 follows a valid configuration and status 2 an invalid one.
        let config = config.to_str().expect("temporary names are UTF-8");
        let outcome = sensor.run(&["replay", "--config", config, capture.to_str().expect("the path is UTF-8")]);
        assert_eq!(outcome.code(), Some(1), "{}: {outcome}", block.location);
    }
}

#[test]
fn every_json_example_is_valid() {
    for block in blocks_in("json") {
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&block.text) {
            panic!("{}: {error}", block.location);
        }
    }
}

#[test]
fn every_relative_link_resolves() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document is UTF-8");
        let folder = document.parent().expect("a document is in a folder");
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { folder.join(file) };
            let resolves = target.exists()
                && (anchor.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(&anchor.to_owned())));
            if !resolves {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Returns the relative link targets of a document.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://"))
}

/// Returns the anchors of a document's headings, as GitHub generates them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|&letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_and_anchors_are_found() {
    let text = "# Five commands\n## JA4T and JA4TS\n[a](b.md#c) and [d](https://e.example/f) and [g](h/)\n";
    assert_eq!(links(text).collect::<Vec<_>>(), ["b.md#c", "h/"]);
    assert_eq!(anchors(text), ["five-commands", "ja4t-and-ja4ts"]);
}
