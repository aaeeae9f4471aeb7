//! Other programs on the captures of the row `replay`: CPU seconds, wall time and peak memory of each, and the CPU time of
//! ja4sensor over that of the peer. Nothing is built or installed: peers that are not found are listed as missing.
//!
//! All programs take turns on each capture, with one thread and all output discarded, so that a change of the machine's
//! speed affects them alike. The peers do different work: mercury hashes no fingerprints, ndpiReader classifies flows,
//! tshark dissects every packet. huginn-net is a library; its row takes a program that analyses the capture named by its
//! last argument.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use tests::generate::{self, CaptureKind};

use crate::Scale;
use crate::child::{self, Used};
use crate::figure::{Figure, median};
use crate::replay::SEED;

/// A peer that takes longer for a capture is measured once.
const SLOW: Duration = Duration::from_secs(10);

/// A program to compare with.
struct Peer {
    name: &'static str,
    /// Environment variable with the path of the program; without it, `name` is searched in `PATH`.
    variable: &'static str,
    /// Arguments before the path of the capture.
    arguments: &'static [&'static str],
}

const PEERS: [Peer; 4] = [
    Peer { name: "mercury", variable: "JA4_PEER_MERCURY", arguments: &["--metadata", "-r"] },
    Peer { name: "ndpiReader", variable: "JA4_PEER_NDPIREADER", arguments: &["-q", "-i"] },
    Peer { name: "huginn-net", variable: "JA4_PEER_HUGINN_NET", arguments: &[] },
    Peer {
        name: "tshark",
        variable: "JA4_PEER_TSHARK",
        arguments: &["-n", "-Y", "tls.handshake", "-T", "fields", "-e", "tls.handshake.type", "-r"],
    },
];

impl Peer {
    fn program(&self) -> Option<PathBuf> {
        let named = env::var_os(self.variable).map(PathBuf::from);
        let folders = env::var_os("PATH").unwrap_or_default();
        named.or_else(|| env::split_paths(&folders).map(|folder| folder.join(self.name)).find(|file| file.is_file()))
    }

    fn run(&self, program: &Path, capture: &Path) -> Result<Used> {
        let arguments = self.arguments.iter().map(OsString::from).chain([capture.into()]);
        child::run(Command::new(program).args(arguments).stderr(Stdio::null()))
    }
}

/// A peer that was found, and its runs on one capture.
struct PeerRuns {
    peer: &'static Peer,
    program: PathBuf,
    runs: Vec<Used>,
    /// CPU time of the sensor's run before each run, over it.
    ratios: Vec<f64>,
    is_slow: bool,
    failure: Option<String>,
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut figures = Vec::new();
    for kind in CaptureKind::TLS {
        let path = folder.path().join(kind.name());
        let size = if scale.quick { 0.02 } else { 1.0 };
        write_in_microseconds(kind, size, &path)?;
        figures.extend(compare(scale, kind, &path)?);
        fs::remove_file(&path)?;
    }
    for peer in PEERS.iter().filter(|peer| peer.program().is_none()) {
        let note = format!("not found: install it, or name it in {}", peer.variable);
        figures.push(Figure::new(peer.name, f64::NAN, "").note(note));
    }
    Ok(figures)
}

/// Writes a generated capture with timestamps in microseconds, since mercury reads no others. It is never in memory as a
/// whole: the peak memory of a child is not below that of this process.
fn write_in_microseconds(kind: CaptureKind, size: f64, path: &Path) -> Result<()> {
    /// The first four bytes of a file in the byte order of this host.
    const MICROSECONDS: u32 = 0xa1b2_c3d4;
    let generated = path.with_extension("nanoseconds");
    generate::write(kind, size, SEED, &mut File::create(&generated)?)?;
    let mut from = BufReader::with_capacity(1 << 20, File::open(&generated)?);
    let mut to = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut header = [0; 24];
    from.read_exact(&mut header)?;
    to.write_all(&MICROSECONDS.to_ne_bytes())?;
    to.write_all(&header[4..])?;
    // Seconds, nanoseconds, captured length, length.
    let mut record = [[0; 4]; 4];
    while from.read_exact(record.as_flattened_mut()).is_ok() {
        let [_, nanoseconds, captured, _] = record.map(u32::from_ne_bytes);
        record[1] = (nanoseconds / 1000).to_ne_bytes();
        to.write_all(record.as_flattened())?;
        io::copy(&mut from.by_ref().take(captured.into()), &mut to)?;
    }
    to.flush()?;
    Ok(fs::remove_file(generated)?)
}

/// Measures the sensor and all peers on one capture.
fn compare(scale: Scale, kind: CaptureKind, capture: &Path) -> Result<Vec<Figure>> {
    // The first runs fill the page cache, and show which peers are slow.
    child::replay(&["--shards", "1"], capture)?;
    let mut peers: Vec<PeerRuns> =
        PEERS.iter().filter_map(|peer| Some(PeerRuns::begin(peer, peer.program()?, capture))).collect();
    let mut sensor = Vec::new();
    for _ in 0..scale.rounds(5) {
        let own = child::replay(&["--shards", "1"], capture)?;
        sensor.push(own);
        for peer in peers.iter_mut().filter(|peer| !peer.is_slow && peer.failure.is_none()) {
            let used = peer.peer.run(&peer.program, capture)?;
            peer.add(used, own);
        }
    }
    let mut figures = vec![figure(kind, "ja4sensor", &sensor)];
    for mut peer in peers {
        let name = peer.peer.name;
        if let Some(failure) = peer.failure {
            figures.push(Figure::new(format!("{}, {name}", kind.name()), f64::NAN, "CPU s").note(failure));
            continue;
        }
        if peer.is_slow {
            let own = median(sensor.iter().map(|used| used.cpu.as_secs_f64()));
            peer.ratios = peer.runs.iter().map(|used| own / used.cpu.as_secs_f64()).collect();
        }
        figures.push(figure(kind, name, &peer.runs));
        let ratio = Figure::new(format!("{}, ja4sensor over {name}", kind.name()), median(peer.ratios), "×");
        figures.push(match kind {
            _ if name != "mercury" || scale.quick => ratio,
            CaptureKind::Mix => ratio.at_most(0.6),
            _ => ratio.at_most(0.8),
        });
    }
    Ok(figures)
}

impl PeerRuns {
    fn begin(peer: &'static Peer, program: PathBuf, capture: &Path) -> Self {
        let (mut runs, mut failure, mut is_slow) = (Vec::new(), None, false);
        match peer.run(&program, capture) {
            Ok(used) if used.wall > SLOW => {
                is_slow = true;
                runs.push(used);
            }
            Ok(_) => {}
            Err(error) => failure = Some(format!("{error:#}")),
        }
        Self { peer, program, runs, ratios: Vec::new(), is_slow, failure }
    }

    /// Adds a run, which follows the run `own` of the sensor.
    fn add(&mut self, used: Used, own: Used) {
        self.runs.push(used);
        self.ratios.push(own.cpu.as_secs_f64() / used.cpu.as_secs_f64());
    }
}

fn figure(kind: CaptureKind, name: &str, runs: &[Used]) -> Figure {
    let middle = |value: fn(&Used) -> f64| median(runs.iter().map(value));
    let note = format!(
        "wall {:.2} s, peak {:.0} MiB; {} {}",
        middle(|used| used.wall.as_secs_f64()),
        middle(|used| used.peak),
        runs.len(),
        if runs.len() == 1 { "run" } else { "runs" },
    );
    Figure::new(format!("{}, {name}", kind.name()), middle(|used| used.cpu.as_secs_f64()), "CPU s").note(note)
}
