//! tcpdump beside the sensor: the independent witness of what was on the wire.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{self, Spawned};

/// Packets are on disk this soon after they were on the wire (`--immediate-mode -U` writes each at once).
const SETTLE: Duration = Duration::from_millis(300);

/// A running recording.
#[derive(Debug)]
pub struct Tape {
    tcpdump: Spawned,
    file: PathBuf,
    folder: TempDir,
}

/// A finished recording. The file is gone when this is dropped.
#[derive(Debug)]
pub struct Recording {
    file: PathBuf,
    _folder: TempDir,
}

impl Tape {
    /// Records the interface of `host`, whole packets, with nanoseconds.
    ///
    /// # Panics
    /// If tcpdump does not start.
    pub fn start(host: &Namespace) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("wire.pcap");
        let name = file.to_str().expect("temporary names are UTF-8");
        let mut tcpdump = host.spawn(&[
            // -Z: Debian's tcpdump would otherwise become a user who cannot write the file.
            "tcpdump",
            "-i",
            host.interface(),
            "-n",
            "-s",
            "0",
            "-U",
            "--immediate-mode",
            // KiB; every frame takes 256 of them, as the longest would.
            "-B",
            "65536",
            "-Z",
            "root",
            "--time-stamp-precision=nano",
            "-w",
            name,
        ]);
        tcpdump.wait_until("listening", |tcpdump| tcpdump.stderr().contains("listening on"));
        Self { tcpdump, file, folder }
    }

    /// Waits for the last packets and ends the recording.
    ///
    /// # Panics
    /// If tcpdump dropped packets: it is no witness then.
    pub fn stop(mut self) -> Recording {
        let size = || std::fs::metadata(&self.file).map_or(0, |file| file.len());
        let mut last = size();
        process::until(Duration::from_secs(5), || {
            thread::sleep(SETTLE);
            let grown = size() != last;
            last = size();
            !grown
        });
        self.tcpdump.stop(Signal::SIGINT);
        let report = self.tcpdump.stderr();
        assert!(report.contains("\n0 packets dropped by kernel"), "tcpdump lost packets:\n{report}");
        Recording { file: self.file, _folder: self.folder }
    }
}

impl Recording {
    /// The capture file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What tcpdump prints for it, with `options`.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn dissected(&self, options: &[&str]) -> String {
        dissect(&self.file, options)
    }
}

/// What tcpdump prints for a capture file: names nothing, checks every checksum, shows link headers.
///
/// # Panics
/// If tcpdump cannot read it.
pub fn dissect(file: &Path, options: &[&str]) -> String {
    let mut command = std::process::Command::new("tcpdump");
    command.args(["-n", "-vv", "-e", "-r"]).arg(file).args(options);
    let outcome = crate::Outcome::new(process::run(command, &[], process::LIMIT)).ok();
    outcome.stdout().to_owned()
}
