//! tcpdump captures in parallel with the sensor, as an independent record of the packets on the wire.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{self, Spawned};

/// Maximum delay between a packet on the wire and its write to disk (`--immediate-mode -U` writes each immediately).
const SETTLE: Duration = Duration::from_millis(300);

/// A running capture.
#[derive(Debug)]
pub struct Tcpdump {
    tcpdump: Spawned,
    file: PathBuf,
    folder: TempDir,
}

/// A finished capture. The file is deleted on drop.
#[derive(Debug)]
pub struct TcpdumpCapture {
    file: PathBuf,
    _folder: TempDir,
}

impl Tcpdump {
    /// Starts a capture of full packets with nanosecond timestamps on the interface of `host`.
    ///
    /// # Panics
    /// If tcpdump does not start.
    pub fn start(host: &Namespace) -> Self {
        Self::start_on(host, host.interface())
    }

    /// The same on another interface of `host`.
    ///
    /// # Panics
    /// If tcpdump does not start.
    pub fn start_on(host: &Namespace, interface: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("wire.pcap");
        let name = file.to_str().expect("temporary names are UTF-8");
        let mut tcpdump = host.spawn(&[
            // -Z: Debian's tcpdump would otherwise drop privileges to a user without write access to the file.
            "tcpdump",
            "-i",
            interface,
            "-n",
            "-s",
            "0",
            "-U",
            "--immediate-mode",
            // Buffer size, KiB. Every frame occupies 256 KiB, the maximum frame size.
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

    /// Waits for the last packets and stops the capture.
    ///
    /// # Panics
    /// If tcpdump dropped packets, because the capture is then incomplete.
    pub fn stop(mut self) -> TcpdumpCapture {
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
        TcpdumpCapture { file: self.file, _folder: self.folder }
    }
}

impl TcpdumpCapture {
    /// Returns the path of the capture file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns tcpdump's text output for the capture, with `options`.
    ///
    /// # Panics
    /// If tcpdump cannot read the file.
    pub fn dissected(&self, options: &[&str]) -> String {
        dissect(&self.file, options)
    }
}

/// Returns tcpdump's text output for a capture file: without name resolution, with checked checksums and link headers.
///
/// # Panics
/// If tcpdump cannot read the file.
pub fn dissect(file: &Path, options: &[&str]) -> String {
    let mut command = std::process::Command::new("tcpdump");
    command.args(["-n", "-vv", "-e", "-r"]).arg(file).args(options);
    let outcome = crate::Outcome::new(process::run(command, &[], process::LIMIT)).ok();
    outcome.stdout().to_owned()
}
