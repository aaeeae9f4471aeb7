//! Checks of the privileges and tools that a test needs. A skipped test is reported on standard error. In CI it fails,
//! unless the tool is optional.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;

use nix::unistd::Uid;

use crate::bpf;

/// Environment variable. With the value `bpf` (as in CI), a test fails instead of being skipped.
pub const REQUIRE: &str = "JA4_TEST_REQUIRE";

/// Returns whether the test can load BPF programs and create interfaces: it runs as root, and bpf(2) is allowed.
/// Otherwise reports the test as skipped.
///
/// # Panics
/// If the privileges are missing and [`REQUIRE`] is `bpf`.
pub fn require_bpf() -> bool {
    require(Uid::effective().is_root() && bpf::is_allowed(), "root and BPF")
}

/// Like [`require_bpf`], for a test that only needs network namespaces.
pub fn require_root() -> bool {
    require(Uid::effective().is_root(), "root")
}

/// Returns whether all these programs are installed. Otherwise reports the first missing one.
///
/// # Panics
/// If a program is missing and [`REQUIRE`] is `bpf`.
pub fn require_tools(programs: &[&str]) -> bool {
    programs.iter().all(|program| require(is_installed(program), program))
}

/// Reports on standard error that the current test was skipped because `needs` is missing. Never fails the test.
pub fn skipped(needs: &str) {
    let test = thread::current().name().unwrap_or("test").to_owned();
    // Not `eprintln!`: the test harness discards its output when the test passes.
    writeln!(io::stderr(), "SKIPPED {test}: needs {needs}").ok();
}

/// Returns `holds`. If it is false, reports what the current test needs.
///
/// # Panics
/// If `holds` is false and [`REQUIRE`] is `bpf`.
pub fn require(holds: bool, needs: &str) -> bool {
    if !holds {
        assert!(
            std::env::var_os(REQUIRE).is_none_or(|required| required != "bpf"),
            "this test needs {needs}, and {REQUIRE}=bpf forbids skipping it"
        );
        skipped(needs);
    }
    holds
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Directories of system tools, which may be missing in the PATH of an unprivileged user.
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
        && Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
