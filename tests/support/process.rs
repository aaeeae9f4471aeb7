//! Runs programs with a timeout, so that no test can hang.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Default timeout of a program that should exit on its own.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Interval between two checks of a condition. Small compared to all timeouts.
const POLL: Duration = Duration::from_millis(5);

/// Exit status and output of a program that has exited.
#[derive(Debug)]
pub struct FinishedProcess {
    /// Command line, for messages.
    pub command: String,
    /// Exit status.
    pub status: ExitStatus,
    /// Complete standard output.
    pub stdout: Vec<u8>,
    /// Complete standard error.
    pub stderr: Vec<u8>,
}

/// Runs `command` with `stdin` as its standard input until it exits.
///
/// # Panics
/// If `command` cannot be started, or does not exit within `limit` and is killed.
pub fn run(command: Command, stdin: &[u8], limit: Duration) -> FinishedProcess {
    run_typing(command, &[stdin], Duration::ZERO, limit)
}

/// Runs `command` until it exits. Writes each of `keys` to its standard input, with a `pause` after each.
///
/// # Panics
/// If `command` cannot be started, or does not exit within `limit` and is killed.
pub fn run_typing(mut command: Command, keys: &[&[u8]], pause: Duration, limit: Duration) -> FinishedProcess {
    let name = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));

    let mut pipe = child.stdin.take().expect("stdin is piped");
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
    let feeder = thread::spawn(move || {
        for key in keys {
            if pipe.write_all(&key).is_err() {
                // The program may close its standard input before it has read all of it; this is not an error.
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
    FinishedProcess { command: name, status, stdout, stderr }
}

/// Starts a thread that reads a pipe until end of file and returns the bytes.
pub fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        bytes
    })
}

/// Waits for a child to exit, at most for `limit`. Returns `None` on timeout.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut status = None;
    until(limit, || {
        status = child.try_wait().expect("the child is ours");
        status.is_some()
    });
    status
}

/// Polls `condition` until it is true. Returns false if `limit` expires first.
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

/// Copies a program. Not [`std::fs::copy`]: a child of another thread would inherit the descriptor that writes the copy, and
/// the kernel executes no file that is open for writing.
///
/// # Panics
/// If the copy cannot be made.
pub fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().expect("cp is installed");
    assert!(copied.success(), "{} was not copied", from.display());
}

/// Sends `signal` to a child that has not been waited for.
pub fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("process ids are positive i32");
    signal::kill(Pid::from_raw(pid), signal).ok();
}

/// A program in the background; it is killed on drop. Standard error goes to a file, so that no full pipe blocks it.
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
    /// If `command` cannot be started.
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

    /// Returns the process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the standard error written so far.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(self.stderr.path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `ready` returns true.
    ///
    /// # Panics
    /// If `ready` is still false after ten seconds, or the program exits first.
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

    /// Sends `signal` and waits for the exit. Kills the program after five seconds.
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
