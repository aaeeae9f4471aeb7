//! The output for a file is byte-identical for any number of shards.

use tests::stats_u64;

use super::conformance::conformance;
use super::*;

/// Returns the output for a file. Asserts that its fingerprints are in packet order.
fn stdout(file: &Path, shards: &str) -> Vec<u8> {
    let arguments = [OsStr::new("replay"), OsStr::new("--shards"), OsStr::new(shards), file.as_os_str()];
    let outcome = Sensor::new().run(&arguments).ok();
    let counts: Vec<_> =
        fingerprints(&outcome.events()).into_iter().map(|event| event["pcap_cnt"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted(), "{}: events are not in packet order", file.display());
    outcome.stdout().as_bytes().to_vec()
}

/// Asserts that the output is identical for each number of shards. Returns the number of fingerprints.
fn assert_same_for_any_shards(file: &Path) -> usize {
    let first = stdout(file, "1");
    for shards in ["1", "2", "3", "16"] {
        assert!(stdout(file, shards) == first, "{} differs with {shards} shards", file.display());
    }
    fingerprints(&events::parse(std::str::from_utf8(&first).unwrap())).len()
}

#[test]
fn generated_captures_print_the_same_bytes_for_any_number_of_shards() {
    let folder = TempDir::new().unwrap();
    for (kind, scale) in
        [(CaptureKind::Dense, 0.02), (CaptureKind::Mix, 0.02), (CaptureKind::Pq, 0.02), (CaptureKind::Everything, 0.02)]
    {
        let printed = assert_same_for_any_shards(&generated(folder.path(), kind, scale));
        assert!(printed as u64 > kind.flows(scale), "{kind:?}: {printed}");
    }
}

/// The tables of the detectors have several parts here, and each of them evicts.
#[test]
fn evictions_and_alerts_are_the_same_for_any_number_of_shards() {
    let folder = TempDir::new().unwrap();
    let (config, alerts) = (folder.path().join("sensor.toml"), folder.path().join("alerts"));
    let bounds = format!(
        "[first_seen]\nlearning = \"0\"\nmax_values = 2048\nmax_host_values = 2048\n[profiles]\nmax_keys = 2048\n\
         [[alerts.sink]]\ntype = \"file\"\npath = \"{}\"\nrate = 0\n",
        alerts.display()
    );
    fs::write(&config, bounds).unwrap();
    let file = generated(folder.path(), CaptureKind::Dense, 0.3);
    let replay = |shards: &str| {
        let arguments = ["replay", "--config", config.to_str().unwrap(), "--shards", shards, file.to_str().unwrap()];
        let outcome = Sensor::new().run(&arguments.map(OsStr::new)).ok();
        let written = fs::read(&alerts).unwrap();
        fs::remove_file(&alerts).unwrap();
        (outcome.stdout().to_owned(), written)
    };
    let one = replay("1");
    let events = events::parse(&one.0);
    let last = events.last().unwrap();
    assert!(stats_u64(last, &["engine", "first_seen", "evicted"]) > 1000, "{last:#}");
    assert!(stats_u64(last, &["engine", "profiles", "evicted_keys"]) > 100, "{last:#}");
    for shards in ["2", "7", "16"] {
        assert!(replay(shards) == one, "the output differs with {shards} shards");
    }
}

#[test]
fn public_captures_print_the_same_bytes_for_any_number_of_shards() {
    let Some(folder) = conformance() else { return };
    let captures = fs::read_dir(folder.join("pcap")).unwrap();
    let printed: usize = captures.map(|entry| assert_same_for_any_shards(&entry.unwrap().path())).sum();
    assert!(printed > 0);
}

#[test]
fn every_flow_of_a_generated_capture_is_fingerprinted() {
    let folder = TempDir::new().unwrap();
    for (kind, scale) in [(CaptureKind::Dense, 0.05), (CaptureKind::Mix, 0.02), (CaptureKind::Pq, 0.05)] {
        let events = Sensor::new().replay(&generated(folder.path(), kind, scale));
        for fingerprint in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
            assert_eq!(values(&events, fingerprint).len() as u64, kind.flows(scale), "{kind:?}: {fingerprint}");
        }
        let known: Vec<_> = Shape::ALL.into_iter().map(Shape::ja4).collect();
        assert!(values(&events, "ja4").iter().all(|value| known.contains(value)), "{kind:?}");
    }
}

#[test]
fn every_method_of_the_generated_capture_is_fingerprinted() {
    let folder = TempDir::new().unwrap();
    let outcome =
        Sensor::new().run(&[OsStr::new("replay"), generated(folder.path(), CaptureKind::Everything, 0.05).as_os_str()]);
    let events = outcome.ok().events();
    let flows = CaptureKind::Everything.flows(0.05) as usize;
    let share = |percent: usize| flows * percent / 100;
    for (fingerprint, least) in [
        ("ja4", share(60)),
        ("ja4s", share(60)),
        ("ja4x", share(20)),
        ("ja4h", share(35)),
        ("ja4ssh", share(2)),
        ("ja4t", share(55)),
        ("ja4ts", share(55)),
        ("ja4l", share(70)),
        ("ja4ls", share(70)),
        ("ja4d", share(6)),
        ("ja4d6", share(4)),
    ] {
        let count = values(&events, fingerprint).len();
        assert!(count >= least, "{fingerprint}: {count} of {flows} flows, not {least}");
    }
    assert!(values(&events, "ja4").iter().any(|value| value.starts_with('q')), "QUIC");
    assert!(values(&events, "ja4").iter().any(|value| value.starts_with('d')), "DTLS");
}
