//! Child processes, measured by time and memory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::process::{send, until, wait};
use tests::{Namespace, Sensor, log, stats_u64};

/// Timeout for verifying and attaching the eBPF programs.
const READY: Duration = Duration::from_secs(20);

/// Timeout for stopping a sensor.
const STOP: Duration = Duration::from_secs(20);

/// Resource usage of a process that has exited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Time from start to exit.
    pub(crate) wall: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Peak resident memory, MiB.
    pub(crate) peak: f64,
}

/// Runs `ja4sensor replay` with these arguments and discards its output.
pub(crate) fn replay(arguments: &[&str], file: &Path) -> Result<Used> {
    let mut command = Sensor::new().command(&["replay"]);
    run(command.args(arguments).arg(file).stderr(Stdio::inherit()))
}

/// Runs a command until it exits, without input, and discards its standard output.
pub(crate) fn run(command: &mut Command) -> Result<Used> {
    let name = command.get_program().display().to_string();
    let begun = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let (status, usage) = wait_for_usage(child.with_context(|| format!("{name} cannot be started"))?)?;
    let wall = begun.elapsed();
    ensure!(status.success(), "{name} failed ({status})");
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok(Used {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        // In KiB on Linux; see getrusage(2).
        peak: usage.ru_maxrss as f64 / 1024.0,
    })
}

/// Waits for a child with wait4(2) and returns its own resource usage.
fn wait_for_usage(child: Child) -> io::Result<(ExitStatus, libc::rusage)> {
    use std::os::unix::process::ExitStatusExt;
    let mut status = 0;
    // SAFETY: rusage contains only integers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers refer to live, exclusively borrowed values of the types that wait4 writes.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((ExitStatus::from_raw(status), usage))
}

/// `ja4sensor run` on a host's interface. Its output goes to a file, so that no pipe has to be read.
pub(crate) struct Live {
    child: Child,
    folder: TempDir,
}

impl Live {
    /// Starts the sensor and waits until it has attached its programs.
    pub(crate) fn start(host: &Namespace, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut inner = Sensor::new().command(&["run", "-i", host.interface()]);
        inner.args(options);
        let child = host
            .enter(&inner)
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .context("ja4sensor cannot be started")?;
        let mut live = Self { child, folder };
        let ready = until(READY, || live.stderr().contains("attached") || live.has_ended());
        if !ready || live.has_ended() {
            bail!("ja4sensor did not attach: {}", live.stderr().trim());
        }
        Ok(live)
    }

    /// Returns the first line of stderr, which names the attached hooks.
    pub(crate) fn hooks(&self) -> String {
        log::message(self.stderr().lines().next().unwrap_or_default()).to_owned()
    }

    /// Returns the process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time of all threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        // schedstat counts nanoseconds; /proc/PID/stat counts ticks of 10 ms.
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let path = task?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>().context("schedstat")?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Returns the current resident memory, MiB. Pages of a ring, which are mapped twice, count once.
    pub(crate) fn resident(&self) -> Result<f64> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", self.child.id()))?;
        let (mut kib, mut is_map) = (0.0, false);
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("Rss:"), Some(all)) if !is_map => kib += all.parse::<f64>()?,
                (Some("Pss:"), Some(once)) if is_map => kib += once.parse::<f64>()?,
                (Some(range), _) if range.contains('-') => is_map = line.ends_with("anon_inode:bpf-map"),
                _ => {}
            }
        }
        Ok(kib / 1024.0)
    }

    /// Stops the sensor with SIGINT and returns its statistics.
    pub(crate) fn stop(mut self) -> Result<Ended> {
        send(&self.child, Signal::SIGINT);
        let status = wait(&mut self.child, STOP).context("ja4sensor did not end")?;
        ensure!(status.success(), "ja4sensor ended with {status}: {}", self.stderr());
        let lines = fs::read_to_string(self.path("stdout"))?;
        let stats = lines.lines().next_back().context("no stats event")?;
        Ok(Ended { stats: serde_json::from_str(stats)?, ja4: lines.matches(r#""type":"ja4","#).count() as u64, lines })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The process has already exited unless an error occurred.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Results of a live run.
pub(crate) struct Ended {
    stats: Value,
    /// Number of JA4 lines in the output.
    pub(crate) ja4: u64,
    lines: String,
}

impl Ended {
    /// Returns the number of output lines with all of these texts.
    pub(crate) fn lines_with(&self, texts: &[&str]) -> u64 {
        self.lines.lines().filter(|line| texts.iter().all(|text| line.contains(text))).count() as u64
    }

    /// Returns a counter of the last `stats` event.
    pub(crate) fn count(&self, path: &[&str]) -> u64 {
        stats_u64(&self.stats, path)
    }
}

/// Returns an error if BPF or one of these programs is not available.
pub(crate) fn require(programs: &[&str]) -> Result<()> {
    ensure!(tests::require_bpf(), "needs root and BPF");
    for program in programs {
        ensure!(tests::require_tools(&[program]), "needs {program}");
    }
    Ok(())
}
