//! A sensor that this program starts, and that ends with it.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::Sender;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::private_folder::PrivateFolder;
use super::row;
use super::state::top_state::TopEvent;

/// Time that the sensor has to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The path of this program.
pub(super) fn this_program() -> PathBuf {
    env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
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
        let mut child = Command::new(this_program())
            .args(arguments)
            .stdin(Stdio::null())
            // If this program is killed, nothing reads the output any more, and the sensor ends at its next line.
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
