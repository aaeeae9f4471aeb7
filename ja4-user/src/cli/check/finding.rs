//! What `check` found: one finding for each fact.

use std::fmt::Write as _;

use serde::Serialize;

/// How a fact concerns a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingStatus {
    /// As it should be.
    Ok,
    /// A run works, with a restriction.
    Warning,
    /// A run does not work.
    Error,
    /// The fact could not be determined.
    Unknown,
}

impl FindingStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }
}

/// A fact about the kernel, an interface or the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was checked: `kernel.btf`, `interface.mtu`.
    check: &'static str,
    /// The interface, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    status: FindingStatus,
    message: String,
    /// A command or setting that closes the gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, interface: None, status: FindingStatus::Ok, message: message.into(), fix: None }
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: FindingStatus::Warning, fix: Some(fix.into()), ..Self::ok(check, message) }
    }

    /// An error; its message names the fix.
    pub(super) fn error(check: &'static str, message: impl Into<String>) -> Self {
        Self { status: FindingStatus::Error, ..Self::ok(check, message) }
    }

    pub(super) fn unknown(check: &'static str, message: impl Into<String>) -> Self {
        Self { status: FindingStatus::Unknown, ..Self::ok(check, message) }
    }

    pub(super) fn is_error(&self) -> bool {
        self.status == FindingStatus::Error
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn of_interface(self, name: &str) -> Self {
        Self { interface: Some(name.to_owned()), ..self }
    }
}

/// All findings.
#[derive(Debug, Serialize)]
pub(super) struct CheckReport {
    /// Whether `run` would work.
    ready: bool,
    findings: Vec<Finding>,
}

impl CheckReport {
    pub(super) const fn new(ready: bool, findings: Vec<Finding>) -> Self {
        Self { ready, findings }
    }

    /// One line for each finding; a fix follows on a line of its own.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for Finding { check, interface, status, message, fix } in &self.findings {
            let subject = interface.as_deref().unwrap_or(check);
            // Writing to a String does not fail.
            for (place, line) in message.lines().enumerate() {
                let _ = match place {
                    0 => writeln!(out, "{:<8} {subject}: {line}", status.name()),
                    _ => writeln!(out, "{:<8} {line}", ""),
                };
            }
            if let Some(fix) = fix {
                let _ = writeln!(out, "{:<8}   fix: {fix}", "");
            }
        }
        out
    }
}
