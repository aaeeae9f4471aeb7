//! Queries over a database of ten million fingerprints, one day of traffic, run by the binary.
//!
//! The file has just been written, so most of it is in the page cache.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use tests::Sensor;

use crate::Scale;
use crate::figure::{Figure, median};
use crate::sqlite::{EACH, Traffic, start};

/// Queries: description and command-line arguments.
const QUESTIONS: [(&str, &[&str]); 8] = [
    ("query, the newest 1000", &["query"]),
    ("query, a minute", &["query", "--since", "2026-11-23T12:00:00Z", "--until", "2026-11-23T12:01:00Z"]),
    ("query, a host on the whole day, 1000 rows", &["query", "--host", "10.0.3.7"]),
    (
        "query, a host in an hour",
        &[
            "query",
            "--host",
            "10.0.3.7",
            "--since",
            "2026-11-23T12:00:00Z",
            "--until",
            "2026-11-23T13:00:00Z",
            "--limit",
            "0",
        ],
    ),
    ("query, a server name, all rows", &["query", "--sni", "host77.example.org", "--limit", "0"]),
    ("query, a latency, all rows", &["query", "--value", "777_64", "--limit", "0"]),
    ("query fingerprints, the newest 1000", &["query", "fingerprints"]),
    (
        "diff, half a day and half a day",
        &["diff", "2026-11-23T07:00:00Z..2026-11-23T19:00:00Z", "2026-11-23T19:00:00Z..2026-11-24T07:00:00Z"],
    ),
];

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("history.db");
    let connections = u64::from(scale.of(10_000_000, 70_000)) / EACH;
    let begun = Instant::now();
    let (handle, writer) = start(&path)?;
    Traffic::new().batches(0..connections, |batch| handle.send(batch));
    let status = writer.finish();
    let rate = status.fingerprints as f64 / begun.elapsed().as_secs_f64() / 1e3;
    ensure!(status.fingerprints == connections * EACH && status.rows_lost == 0, "{status:?}");
    let bytes = std::fs::metadata(&path)?.len() as f64;
    let size = format!("{:.0} bytes a fingerprint", bytes / status.fingerprints as f64);
    let mut figures = vec![
        Figure::new("written, generation included", rate, "k/s").note(format!("{} fingerprints", status.fingerprints)),
        Figure::new("size", bytes / (1 << 20) as f64, "MiB").note(size),
    ];
    for (what, arguments) in QUESTIONS {
        let times: Result<Vec<f64>> = (0..scale.rounds(3)).map(|_| ask(&path, arguments)).collect();
        figures.push(Figure::new(what, median(times?), "s"));
    }
    Ok(figures)
}

/// Runs a query and returns its duration, seconds.
fn ask(database: &Path, arguments: &[&str]) -> Result<f64> {
    let mut command = Sensor::new().command(arguments);
    command.arg("--db").arg(database).args(["--format", "json", "--timeout", "0"]);
    let begun = Instant::now();
    let answer = command.output()?;
    let time = begun.elapsed().as_secs_f64();
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    Ok(time)
}
