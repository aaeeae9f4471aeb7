//! The binary under test, running on an interface.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::events;
use crate::netns::Namespace;
use crate::process::{self, FinishedProcess};
use crate::sensor::{Outcome, Sensor};

/// Timeout for the kernel to verify and attach the programs on a busy machine.
const READY: Duration = Duration::from_secs(20);
/// Timeout for a stopped sensor to drain and detach.
const STOP: Duration = Duration::from_secs(15);
/// Text of the standard-error line that reports an attached interface.
const ATTACHED: &str = "attached";

/// A `ja4sensor run` process in the background. It is killed on drop.
#[derive(Debug)]
pub struct RunningSensor {
    child: Child,
    command: String,
    stdout: PipeReader,
    stderr: PipeReader,
}

impl RunningSensor {
    /// Starts `ja4sensor run -i INTERFACE OPTIONS` in `host`, on the host's interface, and waits until it is attached.
    ///
    /// # Panics
    /// If the sensor exits before it is attached, or the timeout expires.
    pub fn start(host: &Namespace, options: &[&str]) -> Self {
        Self::start_on(Some(host), &[host.interface()], options)
    }

    /// Starts the sensor on `interfaces`, in `host` or in the network namespace of the test.
    ///
    /// # Panics
    /// If the sensor exits before it is attached, or the timeout expires.
    pub fn start_on(host: Option<&Namespace>, interfaces: &[&str], options: &[&str]) -> Self {
        let sensor = Sensor::new();
        let mut arguments = vec!["run"];
        arguments.extend(interfaces.iter().flat_map(|name| ["-i", name]));
        arguments.extend(options);
        let command = match host {
            Some(host) => host.enter(&sensor.command(&arguments)),
            None => sensor.command(&arguments),
        };
        let mut live = Self::spawn(command);
        live.wait_attached(interfaces.len());
        live
    }

    /// Starts `command` without waiting for attachment.
    ///
    /// # Panics
    /// If `command` cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let stdout = PipeReader::start(child.stdout.take().expect("stdout is piped"));
        let stderr = PipeReader::start(child.stderr.take().expect("stderr is piped"));
        Self { child, command: name, stdout, stderr }
    }

    /// Returns the process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the standard output received so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Returns the standard error received so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns the events received so far, complete lines only.
    ///
    /// # Panics
    /// If a line is not an event.
    pub fn events(&self) -> Vec<Value> {
        let text = self.stdout();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        events::parse(whole)
    }

    /// Waits until `condition` is true for the events received so far.
    ///
    /// # Panics
    /// If the condition is still false after ten seconds.
    pub fn wait_for(&self, what: &str, mut condition: impl FnMut(&[Value]) -> bool) {
        let held = process::until(Duration::from_secs(10), || condition(&self.events()));
        assert!(held, "no {what} in time; stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr());
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the exit.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn stop(self) -> Outcome {
        self.end(Signal::SIGINT)
    }

    /// Sends a signal and waits for the exit.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn end(self, signal: Signal) -> Outcome {
        process::send(&self.child, signal);
        self.wait()
    }

    /// Sends SIGKILL, so that the sensor cannot clean up, and waits for the exit.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn kill(self) -> Outcome {
        self.end(Signal::SIGKILL)
    }

    /// Waits until the sensor exits.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn wait(mut self) -> Outcome {
        let Some(status) = process::wait(&mut self.child, STOP) else {
            panic!("{} did not end; stderr:\n{}", self.command, self.stderr());
        };
        Outcome::new(FinishedProcess {
            command: std::mem::take(&mut self.command),
            status,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        })
    }

    /// Waits until the sensor is attached to this number of interfaces.
    ///
    /// # Panics
    /// If the sensor exits before, or the timeout expires.
    pub fn wait_attached(&mut self, interfaces: usize) {
        let mut ended = None;
        let ready = process::until(READY, || {
            ended = self.child.try_wait().expect("the child is ours");
            ended.is_some() || self.stderr().lines().filter(|line| line.contains(ATTACHED)).count() >= interfaces
        });
        if let Some(status) = ended {
            panic!("{} ended with {status}; stderr:\n{}", self.command, self.stderr());
        }
        assert!(ready, "{} did not say {ATTACHED:?} in time; stderr:\n{}", self.command, self.stderr());
    }
}

impl Drop for RunningSensor {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A thread that reads a pipe, so that the sensor never blocks on a full pipe.
#[derive(Debug)]
struct PipeReader {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl PipeReader {
    fn start(pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let taken = match pipe.fill_buf() {
                    Ok([]) | Err(_) => return,
                    Ok(chunk) => {
                        shared.lock().expect("no reader panics").extend_from_slice(chunk);
                        chunk.len()
                    }
                };
                pipe.consume(taken);
            }
        });
        Self { bytes, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        std::mem::take(&mut *self.bytes.lock().expect("no reader panics"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> RunningSensor {
        // A shell cannot trap a signal that was ignored when it started, and a script starts its background jobs with
        // SIGINT ignored.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", "sh"]);
        command.args(["-c", script]);
        RunningSensor::spawn(command)
    }

    #[test]
    fn it_is_ready_when_it_logs_so_and_ends_on_sigint() {
        let script = r#"trap 'echo "{\"event_type\":\"stats\"}"; exit 0' INT
            echo '{"event_type":"fingerprint"}'; echo "ve0: attached (generic XDP)" >&2; while :; do sleep 0.01; done"#;
        let mut live = shell(script);
        live.wait_attached(1);
        live.wait_for("event", |events| events.len() == 1);
        assert_eq!(live.stop().ok().stderr_has("generic").events().len(), 2);
    }

    #[test]
    #[should_panic(expected = "no such interface")]
    fn a_sensor_that_ends_first_is_shown() {
        shell("echo 'no such interface' >&2; exit 2").wait_attached(1);
    }

    #[test]
    fn killed_it_has_no_status() {
        assert!(shell("exec sleep 60").kill().stdout().is_empty());
    }
}
