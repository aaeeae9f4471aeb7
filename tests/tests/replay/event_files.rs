//! `--output` and `[[output.files]]`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Replays `plain` with this configuration and options; returns what it printed.
fn replay_with(config: &str, folder: &Path, options: &[&str]) -> String {
    let file = folder.join("ja4sensor.toml");
    fs::write(&file, config).unwrap();
    let options = [&["--config", file.to_str().unwrap()], options].concat();
    run(&plain(), &options).ok().stdout().to_owned()
}

/// The outcome with these options, which may be a failure.
fn try_run(options: &[&str]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = plain().save(folder.path(), "talk.pcap");
    Sensor::new().run(&[&["replay"], options, &[file.to_str().unwrap()]].concat())
}

#[test]
fn an_output_file_gets_the_lines_in_place_of_standard_output() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.json");
    let printed = run(&plain(), &[]).ok().stdout().to_owned();
    // The counters of the file differ.
    let events = |text: &str| text.lines().filter(|line| !line.contains(r#""stats""#)).count();
    assert_eq!(run(&plain(), &["--output", path.to_str().unwrap()]).ok().stdout(), "");
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), printed.lines().count());
    assert!(printed.lines().zip(written.lines()).take(events(&printed)).all(|(printed, written)| printed == written));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    // A second run appends, and `-` prints too.
    let both = run(&plain(), &["--output", path.to_str().unwrap(), "-o", "-"]).ok().stdout().to_owned();
    assert_eq!(events(&both), events(&printed));
    assert_eq!(events(&fs::read_to_string(&path).unwrap()), 2 * events(&printed));
}

#[test]
fn each_file_has_its_format_and_types_for_any_number_of_threads() {
    let config = r#"
        [output]
        stdout = false
        [[output.files]]
        path = "hellos.json"
        types = ["ja4", "ja4s"]
        [[output.files]]
        path = "connections.csv"
        format = "csv"
        types = ["connection"]
        [[output.files]]
        path = "all.txt"
        format = "table"
    "#;
    let read = |threads: &str| {
        let folder = TempDir::new().unwrap();
        assert_eq!(replay_with(config, folder.path(), &["--shards", threads]), "");
        // The second run adds lines, and no header.
        assert_eq!(replay_with(config, folder.path(), &["--shards", threads]), "");
        ["hellos.json", "connections.csv", "all.txt"].map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
    };
    let [hellos, connections, all] = read("1");
    assert_eq!(hellos.lines().count(), 4);
    assert!(hellos.lines().all(|line| line.contains(r#""type":"ja4""#) || line.contains(r#""type":"ja4s""#)));
    assert_eq!(connections.lines().count(), 3, "{connections}");
    assert_eq!(connections.lines().filter(|line| line.starts_with("timestamp,")).count(), 1);
    assert!(all.lines().count() > 2 * 8, "{all}");
    for threads in ["2", "3", "7"] {
        let [hellos_too, connections_too, all_too] = read(threads);
        assert_eq!((&hellos_too, &connections_too, &all_too), (&hellos, &connections, &all), "{threads} threads");
    }
}

#[test]
fn files_that_cannot_be_written_are_reported() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing/events.json");
    let message = format!("cannot append to {}: No such file", missing.display());
    try_run(&["--output", missing.to_str().unwrap()]).status(1).stderr_has(&message).stderr_has_one_line();
    // Every write to this device fails as on a full disk.
    let outcome = try_run(&["--output", "/dev/full", "--output", "-"]).status(1);
    let lost = format!("event file /dev/full lost {} lines", outcome.stdout().lines().count());
    outcome.stderr_has(&lost).stderr_has("No space left on device");
}

#[test]
fn wrong_settings_of_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ja4sensor.toml");
    for (config, message) in [
        ("[[output.files]]\nformat = \"csv\"", "output.files 1: has no path; set `path` to a file or a Unix socket"),
        ("[[output.files]]\npath = \"a\"\n[[output.files]]\npath = \"a\"", "is written to by another one already"),
        ("[[output.files]]\npath = \"a\"\nfiletype = \"fifo\"", "regular"),
    ] {
        fs::write(&file, config).unwrap();
        try_run(&["--config", file.to_str().unwrap()]).status(2).stderr_has(message).stderr_has_one_line();
    }
}
