//! `--write-pcap` of a running sensor.

use std::fs;

use tests::process::until;
use tests::small_disk::SmallDisk;

use super::*;

#[test]
fn the_packet_file_gives_the_fingerprints_that_were_printed() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
    let file = folder.path().join("packets.pcapng");
    let file = file.to_str().unwrap();
    let sensor = RunningSensor::start(wire.server(), &["--write-pcap", file]);
    scenes::tls(&wire);
    let live = sensor.stop().ok().events();
    assert_eq!(
        stats_u64(live.last().unwrap(), &["pcap", "packets"]),
        stats_u64(live.last().unwrap(), &["shards", "packets"])
    );
    let replayed = Sensor::new().run(&["replay", file]).ok().events();
    assert_eq!(values(&replayed, "ja4").len(), scenes::TLS_CONNECTIONS);
    assert_same_fingerprints(&live, &replayed, Duration::from_micros(1));
}

#[test]
fn with_alerts_the_file_has_the_packets_before_and_after_the_alert() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
    let bad = Shape::PostQuantum.ja4();
    let pattern =
        format!("[[pattern]]\ntype = \"ja4\"\nmatch = \"{bad}\"\ncategory = \"x\"\nconfidence = 90\nnote = \"x\"\n");
    fs::write(folder.path().join("bad.toml"), pattern).unwrap();
    let config = folder.path().join("sensor.toml");
    let text = "[lookup]\nknown_bad = \"bad.toml\"\n[first_seen]\nmethods = []\nhost_methods = []\n\
                [output.pcap]\npath = \"packets.pcapng\"\npackets = \"alerts\"\n";
    fs::write(&config, text).unwrap();
    let sensor = RunningSensor::start(wire.server(), &["--config", config.to_str().unwrap()]);
    scenes::tls(&wire);
    let live = sensor.stop().ok().events();
    assert_eq!(values(&live, "ja4").len(), scenes::TLS_CONNECTIONS);
    let file = folder.path().join("packets.pcapng");
    let replayed = Sensor::new().run(&["replay", file.to_str().unwrap()]).ok().events();
    // The cooldown of the rule suppresses a second alert of a client; there is one client for each address family.
    assert_eq!(values(&replayed, "ja4"), [bad, bad]);
    for method in ["ja4t", "ja4ts"] {
        assert_eq!(values(&replayed, method).len(), 2, "{method}");
    }
}

#[test]
fn packets_that_a_full_disk_loses_are_counted_and_the_file_stays_readable() {
    if !require_tools(&["curl", "mount", "umount"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let (wire, disk) = (Wire::new(), SmallDisk::new("64k"));
    let file = disk.path().join("packets.pcapng");
    let path = file.to_str().unwrap();
    let sensor = RunningSensor::start(wire.server(), &["--write-pcap", path]);
    let connect = || {
        let url = format!("http://{}:443/", wire.server().v4());
        let _refused = wire.client().run(&["curl", "--silent", "--max-time", "5", &url]);
    };
    disk.fill();
    let soon = Duration::from_secs(20);
    let failing = format!("packet file {path} cannot deliver");
    // The last page of the file still has room for some packets.
    let fails = || {
        connect();
        sensor.stderr().contains(&failing)
    };
    assert!(until(soon, fails), "{}", sensor.stderr());
    disk.free();
    connect();
    assert!(until(soon, || sensor.stderr().contains("delivers again after")), "{}", sensor.stderr());
    let outcome = sensor.stop().ok();
    let live = outcome.events();
    let failed = stats_u64(live.last().unwrap(), &["pcap", "failed"]);
    assert!(failed > 0 && stats_u64(live.last().unwrap(), &["drops", "pcap"]) == failed, "{failed}");
    assert_eq!(
        failed + stats_u64(live.last().unwrap(), &["pcap", "packets"]),
        stats_u64(live.last().unwrap(), &["shards", "packets"])
    );
    assert!(outcome.stderr().contains(&format!("packet file {path} lost {failed} packet")), "{}", outcome.stderr());
    let replayed = Sensor::new().run(&["replay", path]).ok().events();
    assert!(!values(&replayed, "ja4t").is_empty());
}
