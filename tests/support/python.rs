//! Python with the packages that some tests need: aioquic for QUIC peers, ja4plus for a second opinion,
//! prometheus_client for metrics.
//!
//! [`PYTHON`] names it, else it is `target/test-python/bin/python`, which `.ci/run` makes:
//! `python3 -m venv target/test-python && target/test-python/bin/pip install -r tests/requirements.txt`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::privilege;

/// Names a Python that has the packages.
pub const PYTHON: &str = "JA4_TEST_PYTHON";

/// The Python that can import `module`. Otherwise says so.
///
/// # Panics
/// If there is none and [`privilege::REQUIRE`] is `bpf`.
pub fn require_python(module: &str) -> Option<PathBuf> {
    let python = python();
    privilege::require(has(&python, module), &needs(module)).then_some(python)
}

/// The same for a module that no configuration promises: its absence is said, and never a failure.
pub fn optional_python(module: &str) -> Option<PathBuf> {
    let python = python();
    if has(&python, module) {
        return Some(python);
    }
    privilege::skipped(&needs(module));
    None
}

fn python() -> PathBuf {
    std::env::var_os(PYTHON)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-python/bin/python"), PathBuf::from)
}

fn has(python: &Path, module: &str) -> bool {
    Command::new(python)
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn needs(module: &str) -> String {
    format!("Python with {module} (named in {PYTHON}, or tests/requirements.txt installed in target/test-python)")
}
