//! Whether a test may run here. One that may not says so where the user sees it, and CI forbids it.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::thread;

use nix::unistd::Uid;

use crate::bpf;

/// Set to `bpf` (as CI does), a test that would be skipped fails instead.
pub const REQUIRE: &str = "JA4_TEST_REQUIRE";

/// True if programs can be loaded into the kernel and interfaces be made: root, and bpf(2) is allowed.
/// Otherwise says so and is false.
///
/// # Panics
/// If that is so and [`REQUIRE`] is `bpf`.
pub fn require_bpf() -> bool {
    require(Uid::effective().is_root() && bpf::is_allowed(), "root and BPF")
}

/// Like [`require_bpf`] for a test that needs network namespaces only.
pub fn require_root() -> bool {
    require(Uid::effective().is_root(), "root")
}

/// True if all these programs can be found. Otherwise says which is missing and is false.
///
/// # Panics
/// If one is missing and [`REQUIRE`] is `bpf`.
pub fn require_tools(programs: &[&str]) -> bool {
    programs.iter().all(|program| require(is_installed(program), program))
}

/// Tells the user that the running test did not run, for want of something that no configuration promises.
pub fn skipped(needs: &str) {
    let test = thread::current().name().unwrap_or("test").to_owned();
    // Not eprintln!: the test harness swallows that when the test passes.
    writeln!(io::stderr(), "SKIPPED {test}: needs {needs}").ok();
}

/// True if `holds`. Otherwise says what the running test needs and is false.
///
/// # Panics
/// If that is so and [`REQUIRE`] is `bpf`.
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
    // Root's tools, for a user whose PATH does not name their folders.
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
        && Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
