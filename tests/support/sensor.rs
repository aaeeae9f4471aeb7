//! The binary under test, run to its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::events;
use crate::process::{self, Finished, LIMIT};

/// Names another binary than the one in `target/`.
pub const BINARY: &str = "JA4SENSOR_BIN";

/// `ja4sensor`, and what a test wants to say about a run of it.
#[derive(Clone, Debug)]
pub struct Sensor {
    binary: PathBuf,
    limit: Duration,
}

impl Sensor {
    /// The binary that [`BINARY`] names, else the release build, else the debug build.
    ///
    /// # Panics
    /// If there is none; the message says how to get one.
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

    /// The file that is run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A command to be changed before it runs, with the environment the sensor is tested in.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }

    /// Runs `ja4sensor ARGUMENTS` to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        self.run_with_stdin(arguments, &[])
    }

    /// The same with `stdin` as its standard input.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn run_with_stdin<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> Outcome {
        Outcome(process::run(self.command(arguments), stdin, self.limit))
    }

    /// `ja4sensor replay FILE`, which has to succeed; its events.
    ///
    /// # Panics
    /// If it fails, or prints what is not an event.
    pub fn replay(&self, file: &Path) -> Vec<Value> {
        self.run(&[OsStr::new("replay"), file.as_os_str()]).ok().events()
    }
}

impl Default for Sensor {
    fn default() -> Self {
        Self::new()
    }
}

/// What a run left behind. The checks panic with the command and its standard error.
#[derive(Debug)]
pub struct Outcome(Finished);

impl Outcome {
    /// The outcome of a program run by other means.
    pub fn new(finished: Finished) -> Self {
        Self(finished)
    }

    /// It ended with status 0.
    ///
    /// # Panics
    /// If not.
    pub fn ok(self) -> Self {
        self.status(0)
    }

    /// It ended with this status.
    ///
    /// # Panics
    /// If not.
    pub fn status(self, wanted: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(wanted), "{self}");
        self
    }

    /// Its exit status; `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Its standard output contains `text`.
    ///
    /// # Panics
    /// If not.
    pub fn has(self, text: &str) -> Self {
        assert!(self.stdout().contains(text), "stdout has no {text:?}:\n{}\n{self}", self.stdout());
        self
    }

    /// Its standard error contains `text`, in whatever case.
    ///
    /// # Panics
    /// If not.
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr().to_lowercase().contains(&text.to_lowercase()), "stderr has no {text:?}: {self}");
        self
    }

    /// Its standard error is one line, no backtrace and no chatter.
    ///
    /// # Panics
    /// If not.
    pub fn in_one_line(self) -> Self {
        assert_eq!(self.stderr().lines().filter(|line| !line.trim().is_empty()).count(), 1, "not one line: {self}");
        self
    }

    /// Its standard output.
    ///
    /// # Panics
    /// If that is not UTF-8, which JSON has to be.
    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).expect("stdout is UTF-8")
    }

    /// Its standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The JSON lines of its standard output.
    ///
    /// # Panics
    /// If one of them is not a JSON object with an `event_type`.
    pub fn events(&self) -> Vec<Value> {
        events::parse(self.stdout())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {}; stderr:\n{}", self.0.command, self.0.status, self.stderr())
    }
}

/// Without a word which one: what users run first.
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
        assert_eq!(outcome.status(3).has("given").says("no such THING").in_one_line().stdout(), "given\n");
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
