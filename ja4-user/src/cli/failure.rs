//! How a command fails: one line and an exit status.

use std::fmt;
use std::process::ExitCode;

use crate::system::signals::INTERRUPTED;

/// The error of a command, with its exit status.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    error: anyhow::Error,
}

impl Failure {
    /// A failure at run time: exit status 1.
    pub fn run(error: impl Into<anyhow::Error>) -> Self {
        Self { status: 1, error: error.into() }
    }

    /// Wrong usage or configuration: exit status 2.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { status: 2, error: error.into() }
    }

    /// A missing privilege or kernel feature: exit status 3.
    pub fn system(error: impl Into<anyhow::Error>) -> Self {
        Self { status: 3, error: error.into() }
    }

    /// Interrupted by a signal: exit status 130.
    pub fn interrupted(error: impl Into<anyhow::Error>) -> Self {
        Self { status: INTERRUPTED, error: error.into() }
    }

    /// The exit status.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    /// Writes the error and its causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:#}", self.error);
        f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
