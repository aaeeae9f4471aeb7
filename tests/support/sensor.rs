//! The binary under test, run until it exits.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::events;
use crate::process::{self, FinishedProcess, LIMIT};

/// Environment variable with the path of a binary to use instead of the one in `target/`.
pub const BINARY: &str = "JA4SENSOR_BIN";

/// The `ja4sensor` binary and the timeout of its runs.
#[derive(Clone, Debug)]
pub struct Sensor {
    binary: PathBuf,
    limit: Duration,
}

impl Sensor {
    /// Returns the binary that [`BINARY`] names, else the release build, else the debug build.
    ///
    /// # Panics
    /// If there is no binary. The message explains how to build one.
    pub fn new() -> Self {
        let binary = match std::env::var_os(BINARY) {
            Some(path) => {
                let path = PathBuf::from(path);
                assert!(path.is_file(), "{BINARY} names {}, which is not a file", path.display());
                path
            }
            None => built().unwrap_or_else(|| {
                panic!(
                    "ja4sensor is not built: `cargo build --release -p ja4-user` first, or name a binary in {BINARY}"
                )
            }),
        };
        let binary = std::path::absolute(binary).expect("the working directory exists");
        Self { binary, limit: LIMIT }
    }

    /// Returns the path of the binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Returns a command with these arguments and the environment of the tests; the caller may change it.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
        // No folder can be created here: a sensor serves a socket only where its test names one.
        command.env("RUNTIME_DIRECTORY", "/proc/self/ja4sensor");
        command
    }

    /// Runs `ja4sensor ARGUMENTS` until it exits.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        self.run_with_stdin(arguments, &[])
    }

    /// Like [`run`](Self::run), with `stdin` as the standard input.
    ///
    /// # Panics
    /// If the sensor does not exit in time.
    pub fn run_with_stdin<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> Outcome {
        Outcome(process::run(self.command(arguments), stdin, self.limit))
    }

    /// Runs `ja4sensor replay FILE`, asserts that it succeeds, and returns its events.
    ///
    /// # Panics
    /// If the sensor fails, or prints a line that is not an event.
    pub fn replay(&self, file: &Path) -> Vec<Value> {
        self.run(&[OsStr::new("replay"), file.as_os_str()]).ok().events()
    }
}

impl Default for Sensor {
    fn default() -> Self {
        Self::new()
    }
}

/// Exit status and output of a run. Failed assertions panic with the command and its standard error.
#[derive(Debug)]
pub struct Outcome(FinishedProcess);

impl Outcome {
    /// Creates an outcome from a program that was run with [`process`].
    pub fn new(finished: FinishedProcess) -> Self {
        Self(finished)
    }

    /// Asserts that the exit status is 0.
    ///
    /// # Panics
    /// If the assertion fails.
    pub fn ok(self) -> Self {
        self.status(0)
    }

    /// Asserts that the exit status is `wanted`.
    ///
    /// # Panics
    /// If the assertion fails.
    pub fn status(self, wanted: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(wanted), "{self}");
        self
    }

    /// Returns the exit status, or `None` if a signal terminated the program.
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Asserts that the standard output contains `text`.
    ///
    /// # Panics
    /// If the assertion fails.
    pub fn stdout_has(self, text: &str) -> Self {
        assert!(self.stdout().contains(text), "stdout has no {text:?}:\n{}\n{self}", self.stdout());
        self
    }

    /// Asserts that the standard error contains `text`, ignoring case.
    ///
    /// # Panics
    /// If the assertion fails.
    pub fn stderr_has(self, text: &str) -> Self {
        assert!(self.stderr().to_lowercase().contains(&text.to_lowercase()), "stderr has no {text:?}: {self}");
        self
    }

    /// Asserts that the standard error has exactly one non-empty line: no backtrace and no other messages. A step of the
    /// start that takes long on a slow machine is named in a line of its own, which does not count.
    ///
    /// # Panics
    /// If the assertion fails.
    pub fn stderr_has_one_line(self) -> Self {
        let is_message = |line: &&str| !line.trim().is_empty() && !line.ends_with("...");
        assert_eq!(self.stderr().lines().filter(is_message).count(), 1, "not one line: {self}");
        self
    }

    /// Returns the standard output.
    ///
    /// # Panics
    /// If it is not UTF-8, which JSON requires.
    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).expect("stdout is UTF-8")
    }

    /// Returns the standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Returns the JSON lines of the standard output as events.
    ///
    /// # Panics
    /// If a line is not a JSON object with an `event_type`.
    pub fn events(&self) -> Vec<Value> {
        events::parse(self.stdout())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {}; stderr:\n{}", self.0.command, self.0.status, self.stderr())
    }
}

/// Returns the default binary: the release build, else the debug build.
fn built() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    ["release", "debug"].iter().map(|profile| target.join(profile).join("ja4sensor")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Outcome::new(process::run(command, b"given", Duration::from_secs(5)))
    }

    #[test]
    fn an_outcome_tells_what_a_program_did() {
        let outcome = shell(r#"cat; echo; echo "Alas: no such thing" >&2; exit 3"#);
        assert_eq!(
            outcome.status(3).stdout_has("given").stderr_has("no such THING").stderr_has_one_line().stdout(),
            "given\n"
        );
    }

    #[test]
    #[should_panic(expected = "left: Some(1)")]
    fn a_failure_is_not_ok() {
        shell("exit 1").ok();
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn nothing_hangs() {
        let mut command = Command::new("sleep");
        command.arg("60");
        process::run(command, &[], Duration::from_millis(50));
    }
}
