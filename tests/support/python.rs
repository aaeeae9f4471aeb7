//! Python interpreter with the packages of some tests: aioquic for QUIC peers, ja4plus as an independent JA4
//! implementation, `prometheus_client` for metrics, `jsonschema` for EVE.
//!
//! [`PYTHON`] sets the path. The default is `target/test-python/bin/python`, which `.ci/run` creates:
//! `python3 -m venv target/test-python && target/test-python/bin/pip install -r tests/requirements.txt`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::privilege;

/// Environment variable with the path of a Python interpreter that has the packages.
pub const PYTHON: &str = "JA4_TEST_PYTHON";

/// Returns the Python interpreter if it can import `module`. Otherwise reports the test as skipped.
///
/// # Panics
/// If it cannot and [`privilege::REQUIRE`] is `bpf`.
pub fn require_python(module: &str) -> Option<PathBuf> {
    let python = python();
    privilege::require(has(&python, module), &needs(module)).then_some(python)
}

/// Like [`require_python`], for an optional module: if it is missing, the test is reported as skipped and never fails.
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
