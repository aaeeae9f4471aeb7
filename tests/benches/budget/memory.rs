//! Resident memory at 100,000 connections, and at a million.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tests::Wire;
use tests::generate::{self, CaptureKind};

use crate::child::{self, Live};
use crate::figure::Figure;
use crate::{Scale, frames, live, replay};

/// Time from the last packet until the shards have processed all records.
const SETTLE: Duration = Duration::from_millis(1500);

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let flows = scale.of(100_000, 2_000);
    // All connections stay open until the end of the capture: only the clients send a FIN.
    let path = folder.path().join("dense.pcap");
    generate::write(CaptureKind::Dense, f64::from(flows) / 100_000.0, replay::SEED, &mut File::create(&path)?)?;
    let one = folder.path().join("one.pcap");
    frames::capture(&one, 1, |flow| flow.syn())?;
    let empty = child::replay(&[], &one)?.peak;
    let peak = child::replay(&["--max-connections", &flows.to_string()], &path)?.peak;
    let replayed = Figure::new(format!("replay of {flows} flows with hellos, peak"), peak, "MiB")
        .at_most(64.0)
        .note(per_flow(flows, peak, empty));

    child::require(&["ip", "ethtool", "tcpreplay"])?;
    let many = scale.of(1_000_000, 2_000);
    let database = folder.path().join("history.db").display().to_string();
    Ok(vec![
        replayed,
        watched(folder.path(), flows, &[])?.at_most(64.0),
        // With a history database, in addition to all features that are enabled by default.
        watched(folder.path(), many, &["--max-connections", &many.to_string(), "--db", &database])?.at_most(600.0),
        open(folder.path(), many)?.at_most(900.0),
    ])
}

/// Measures a live sensor after one SYN of each of `flows` flows.
fn watched(folder: &Path, flows: u32, options: &[&str]) -> Result<Figure> {
    let path = folder.join("syns.pcap");
    frames::capture(&path, flows, |flow| flow.syn())?;
    let wire = Wire::new();
    let sensor = Live::start(wire.server(), &[&["--types", "stats"], options].concat())?;
    let empty = sensor.resident()?;
    live::send(wire.client(), &path)?;
    thread::sleep(SETTLE);
    let resident = sensor.resident()?;
    let ended = sensor.stop()?;
    let known = ended.count(&["shards", "opened"]);
    Ok(Figure::new(format!("live, {flows} SYNs"), resident, "MiB")
        .note(format!("{known} connections; {}", per_flow(flows, resident, empty))))
}

/// Measures a replay with a history database of `flows` connections, each with both hellos and none closed.
fn open(folder: &Path, flows: u32) -> Result<Figure> {
    let path = folder.join("open.pcap");
    generate::write(CaptureKind::Dense, f64::from(flows) / 100_000.0, replay::SEED, &mut File::create(&path)?)?;
    let database = folder.join("open.db").display().to_string();
    let options = ["--types", "stats", "--max-connections", &flows.to_string(), "--db", &database];
    let peak = child::replay(&options, &path)?.peak;
    Ok(Figure::new(format!("replay of {flows} open connections with hellos and a history, peak"), peak, "MiB"))
}

fn per_flow(flows: u32, resident: f64, empty: f64) -> String {
    format!("{:.0} bytes a flow over an empty one's {empty:.1} MiB", (resident - empty) * MIB / f64::from(flows))
}
