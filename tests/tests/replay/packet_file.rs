//! `--write-pcap`: the packets of a replay in a pcapng file.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// The events of a replay with these arguments.
fn replay_events(arguments: &[&str]) -> Vec<Value> {
    Sensor::new().run(&[&["replay"], arguments].concat()).ok().events()
}

/// The packets that tcpdump finds in a file.
fn tcpdump_packets(file: &Path) -> u64 {
    let output = Command::new("tcpdump").args(["--count", "-r"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// The files in a folder with names that start with `packets.`, in order.
fn packet_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_packet_file = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("packets.");
    let mut files: Vec<_> = paths.filter(is_packet_file).collect();
    files.sort();
    files
}

#[test]
fn the_packet_file_gives_the_same_fingerprints() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let capture = generated(folder.path(), CaptureKind::Everything, 0.02);
    let written = folder.path().join("packets.pcapng");
    let [capture, file] = [&capture, &written].map(|path| path.to_str().unwrap());
    let events = replay_events(&[capture, "--write-pcap", file]);
    let stats = &events.last().unwrap()["stats"];
    assert_eq!(stats["pcap"]["packets"], stats["kernel"]["selected"], "{stats}");
    assert_eq!(stats["drops"]["pcap"], 0, "{stats}");
    assert_eq!(tcpdump_packets(&written), stats["kernel"]["selected"].as_u64().unwrap());
    assert!(stats["kernel"]["unselected"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o640);
    let again = replay_events(&[file]);
    tests::assert_same_fingerprints(&events, &again, Duration::ZERO);
    assert_eq!(again.last().unwrap()["stats"]["kernel"]["unselected"], 0);
}

#[test]
fn packets_without_an_ethernet_header_get_one() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    // LINKTYPE_RAW: frames start with the IP header.
    let capture = folder.path().join("raw.pcap");
    let mut writer = PcapWriter::new(File::create(&capture).unwrap(), 101).unwrap();
    for packet in plain().packets() {
        writer.packet(packet.time.as_nanos() as u64, &packet.frame[14..]).unwrap();
    }
    writer.finish().unwrap();
    let written = folder.path().join("packets.pcapng");
    let events = replay_events(&[capture.to_str().unwrap(), "--write-pcap", written.to_str().unwrap()]);
    assert!(!fingerprints(&events).is_empty());
    tests::assert_same_fingerprints(&events, &replay_events(&[written.to_str().unwrap()]), Duration::ZERO);
    assert_eq!(tcpdump_packets(&written), events.last().unwrap()["stats"]["kernel"]["selected"].as_u64().unwrap());
}

#[test]
fn with_alerts_the_file_has_the_connections_that_raised_one_from_their_syn_on() {
    let folder = TempDir::new().unwrap();
    let capture = generated(folder.path(), CaptureKind::Dense, 0.01);
    let bad = Shape::Curl.ja4();
    let pattern =
        format!("[[pattern]]\ntype = \"ja4\"\nmatch = \"{bad}\"\ncategory = \"x\"\nconfidence = 90\nnote = \"x\"\n");
    fs::write(folder.path().join("bad.toml"), pattern).unwrap();
    let config = folder.path().join("sensor.toml");
    let text = "[lookup]\nknown_bad = \"bad.toml\"\n[first_seen]\nmethods = []\nhost_methods = []\n\
                [output.pcap]\npath = \"packets.pcapng\"\npackets = \"alerts\"\n";
    fs::write(&config, text).unwrap();
    let events = replay_events(&[capture.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    // The cooldown of the rule suppresses further alerts of a client.
    let wanted = events.iter().filter(|event| event["event_type"] == "alert").count();
    assert!(wanted > 0 && wanted < values(&events, "ja4").len(), "{wanted}");
    let written = replay_events(&[folder.path().join("packets.pcapng").to_str().unwrap()]);
    assert!(values(&written, "ja4").iter().all(|value| *value == bad));
    for method in ["ja4", "ja4t", "ja4ts", "ja4s", "ja4l"] {
        assert_eq!(values(&written, method).len(), wanted, "{method}");
    }
}

#[test]
fn a_full_file_is_closed_and_the_oldest_are_deleted() {
    let folder = TempDir::new().unwrap();
    let capture = generated(folder.path(), CaptureKind::Dense, 0.1);
    let config = folder.path().join("sensor.toml");
    let run = |max_files: u32| {
        let text = format!("[output.pcap]\npath = \"packets.pcapng\"\nmax_size = \"1MiB\"\nmax_files = {max_files}\n");
        fs::write(&config, text).unwrap();
        replay_events(&[capture.to_str().unwrap(), "--config", config.to_str().unwrap()])
    };
    let events = run(100);
    let files = packet_files(folder.path());
    let closed = events.last().unwrap()["stats"]["pcap"]["closed_files"].as_u64().unwrap();
    assert!(closed > 4 && files.len() as u64 == closed + 1, "{closed} {files:?}");
    for file in &files {
        assert!(file.metadata().unwrap().len() <= 1 << 20, "{}", file.display());
    }
    // `packets.pcapng` is the last one.
    let mut all: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    all.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
    assert!(all.last().unwrap().ends_with("packets.pcapng"), "{all:?}");
    tests::assert_same_fingerprints(&events, &replay_events(&all), Duration::ZERO);
    // The file of the last run is closed too.
    run(2);
    let kept = packet_files(folder.path());
    assert_eq!(kept.len(), 3, "{kept:?}");
}

#[test]
fn runs_without_packets_leave_no_files_behind() {
    let folder = TempDir::new().unwrap();
    let empty = packets::capture_file(folder.path(), "empty.pcap", &[]);
    let capture = plain().save(folder.path(), "talk.pcap");
    let written = folder.path().join("packets.pcapng");
    for capture in [&empty, &empty, &capture] {
        replay_events(&[capture.to_str().unwrap(), "--write-pcap", written.to_str().unwrap()]);
    }
    assert_eq!(packet_files(folder.path()), [written.as_path()]);
    assert!(!values(&replay_events(&[written.to_str().unwrap()]), "ja4").is_empty());
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let capture = plain().save(folder.path(), "talk.pcap");
    let run = |path: &str| Sensor::new().run(&["replay", capture.to_str().unwrap(), "-w", path]);
    run("/dev/null").status(1).stderr_has("is not a file; name another file").stderr_has_one_line();
    run("/nonexistent/packets.pcapng").status(1).stderr_has("/nonexistent/packets.pcapng").stderr_has_one_line();
}
