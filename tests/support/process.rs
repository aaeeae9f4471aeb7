//! Running a program so that no test can hang on it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// How long a program that should end by itself may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How often a condition is looked at again. Small against everything waited for.
const POLL: Duration = Duration::from_millis(5);

/// A program that has ended, and what it said.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

/// Runs `command` to its end, feeding it `stdin`.
///
/// # Panics
/// If it cannot be started, or has not ended within `limit`; it is killed then.
pub fn run(command: Command, stdin: &[u8], limit: Duration) -> Finished {
    run_typing(command, &[stdin], Duration::ZERO, limit)
}

/// Runs `command` to its end, feeding it one of `keys` after the other, with a `pause` after each.
///
/// # Panics
/// If it cannot be started, or has not ended within `limit`; it is killed then.
pub fn run_typing(mut command: Command, keys: &[&[u8]], pause: Duration, limit: Duration) -> Finished {
    let name = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));

    let mut pipe = child.stdin.take().expect("stdin is piped");
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
    let feeder = thread::spawn(move || {
        for key in keys {
            if pipe.write_all(&key).is_err() {
                // A program that does not read to the end closes the pipe; that is its right.
                return;
            }
            thread::sleep(pause);
        }
    });
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));

    let status = wait(&mut child, limit);
    if status.is_none() {
        child.kill().ok();
        child.wait().ok();
    }
    feeder.join().ok();
    let stdout = stdout.join().expect("the reader of stdout");
    let stderr = stderr.join().expect("the reader of stderr");
    let Some(status) = status else {
        panic!("{name} did not end within {limit:?}; stderr:\n{}", String::from_utf8_lossy(&stderr));
    };
    Finished { command: name, status, stdout, stderr }
}

/// Reads a pipe to its end on a thread of its own.
pub fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        bytes
    })
}

/// Waits for a child, at most for `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut status = None;
    until(limit, || {
        status = child.try_wait().expect("the child is ours");
        status.is_some()
    });
    status
}

/// Looks at a condition until it holds (true) or `limit` has passed (false).
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Sends `signal` to a child that has not been waited for.
pub fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("process ids are positive i32");
    signal::kill(Pid::from_raw(pid), signal).ok();
}

/// A program in the background; ended when dropped. Its output goes to files, so that no full pipe can stop it.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    command: String,
    stderr: tempfile::NamedTempFile,
}

impl Spawned {
    /// Starts `command` with an empty standard input and discarded standard output.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let stderr = tempfile::NamedTempFile::new().expect("a temporary file");
        let sink: File = stderr.reopen().expect("the temporary file again");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(sink)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { child, command: name, stderr }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error up to now.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(self.stderr.path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `ready` holds.
    ///
    /// # Panics
    /// If that takes more than ten seconds, or the program ends first.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut(&Self) -> bool) {
        let mut ended = None;
        let held = until(Duration::from_secs(10), || {
            ended = self.child.try_wait().expect("the child is ours");
            ended.is_some() || ready(self)
        });
        if let Some(status) = ended {
            panic!("{} ended with {status} before {what}; stderr:\n{}", self.command, self.stderr());
        }
        assert!(held, "{} was not {what} in time; stderr:\n{}", self.command, self.stderr());
    }

    /// Sends `signal` and waits for the end; kills it when that takes more than five seconds.
    pub fn stop(&mut self, signal: Signal) {
        send(&self.child, signal);
        if wait(&mut self.child, Duration::from_secs(5)).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.stop(Signal::SIGKILL);
    }
}
