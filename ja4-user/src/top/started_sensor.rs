//! A sensor that this program starts, and that ends with it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::Sender;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::row;
use super::state::top_state::TopEvent;

/// Time that the sensor has to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A folder that only this user can enter, with the socket and the database. It is removed on drop.
#[derive(Debug)]
pub(crate) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let path = env::temp_dir().join(format!("ja4sensor-top-{}-{nanoseconds}", process::id()));
        // A folder of this name that another user made is an error.
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("attach.sock")
    }

    /// Path of the database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("history.db")
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// A running sensor. Dropping it ends the sensor.
#[derive(Debug)]
pub(super) struct StartedSensor {
    child: Child,
    /// Removed once the sensor has ended.
    _folder: PrivateFolder,
}

impl StartedSensor {
    /// Starts this program with other arguments. Its log becomes events.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(
        arguments: &[OsString],
        folder: PrivateFolder,
        events: &Sender<TopEvent>,
    ) -> anyhow::Result<Self> {
        let program = env::current_exe().unwrap_or_else(|_| Path::new("/proc/self/exe").to_owned());
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            // The sensor ends when nothing reads its output: if this program is killed, the sensor ends too.
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Signals of the terminal are for this program, which then ends the sensor.
            .process_group(0)
            .spawn()
            .context("cannot start the sensor")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let sensor = Self { child, _folder: folder };
        if let Some(stdout) = stdout {
            thread::Builder::new().name("sensor-output".to_owned()).spawn(move || discard(stdout))?;
        }
        if let Some(stderr) = stderr {
            let events = events.clone();
            thread::Builder::new().name("sensor-log".to_owned()).spawn(move || log(stderr, &events))?;
        }
        Ok(sensor)
    }

    /// Waits for the end of the sensor, which it is asked for if it still runs. Returns its exit status.
    pub(super) fn end(&mut self) -> Option<i32> {
        if let (Ok(None), Ok(id)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            let _sent = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) => return status.code(),
                Err(_) => break,
            }
        }
        let _killed = self.child.kill();
        self.child.wait().ok()?.code()
    }
}

impl Drop for StartedSensor {
    fn drop(&mut self) {
        self.end();
    }
}

fn discard(mut stdout: impl Read) {
    let _ended = io::copy(&mut stdout, &mut io::sink());
}

/// Sends the lines of the log; the end of the log is the end of the sensor.
fn log(stderr: impl Read, events: &Sender<TopEvent>) {
    let mut last = String::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        last = row::visible(&String::from_utf8_lossy(&line));
        if events.send(TopEvent::LogLine(last.clone())).is_err() {
            return;
        }
    }
    let _sent = events.send(TopEvent::SensorEnded(last));
}
