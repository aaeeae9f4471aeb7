//! TLS hellos over a veth pair at tcpreplay's top speed: number of hellos lost before the output.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tests::random::SplitMix64;
use tests::{Namespace, Wire};

use crate::child::{self, Live};
use crate::figure::Figure;
use crate::{Scale, frames};

/// Time from the last packet to the last output line.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    child::require(&["ip", "ethtool", "tcpreplay"])?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hellos.pcap");
    let hellos = scale.of(100_000, 5_000);
    let mut random = SplitMix64::new(1);
    frames::capture(&path, hellos, |flow| flow.first(&frames::client_hello(&mut random)))?;

    let mut figures = Vec::new();
    for hook in ["generic", "native", "tc"] {
        let wire = Wire::new();
        let sensor = Live::start(wire.server(), &["--hook", hook, "--shards", "1", "--types", "ja4,stats"])?;
        let rate = send(wire.client(), &path)?;
        thread::sleep(SETTLE);
        let ended = sensor.stop()?;
        let count = |name| ended.count(&["kernel", "ingress", name]);
        let note = format!(
            "{rate}; seen {}, emitted {}, ring full {}, rate limited {}, JA4 lines {}, lines dropped {}",
            count("seen"),
            count("emitted"),
            count("ring_full"),
            count("rate_limited"),
            ended.ja4,
            ended.count(&["output", "lines_dropped"]),
        );
        let lost = f64::from(hellos) - ended.ja4 as f64;
        figures
            .push(Figure::new(format!("lost of {hellos} hellos, one shard, {hook}"), lost, "").at_most(0.0).note(note));
    }
    Ok(figures)
}

/// Sends a capture from a host and returns the rate as reported by tcpreplay.
pub(crate) fn send(host: &Namespace, path: &Path) -> Result<String> {
    let path = path.to_str().context("the path is not UTF-8")?;
    let sent = host.run(&["tcpreplay", "--quiet", "--topspeed", "--preload-pcap", "-i", host.interface(), path]).ok();
    let rated =
        sent.stdout().lines().find_map(|line| line.split_once("Rated:")).context("tcpreplay printed no rate")?;
    let rate = rated.1.rsplit(',').next().unwrap_or_default().trim();
    Ok(format!("sent at {rate}"))
}
