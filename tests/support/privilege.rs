//! Whether a test may run here. One that may not says so where the user sees it, and CI forbids it.

use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;

use nix::unistd::Uid;

/// Set to `bpf` (as CI does), a test that would be skipped fails instead.
pub const REQUIRE: &str = "JA4_TEST_REQUIRE";

/// True if programs can be loaded into the kernel and interfaces be made: root, and bpf(2) is allowed.
/// Otherwise says so and is false.
///
/// # Panics
/// If that is so and [`REQUIRE`] is `bpf`.
pub fn require_bpf() -> bool {
    allowed(Uid::effective().is_root() && bpf_map_can_be_made(), "root and BPF")
}

/// Like [`require_bpf`] for a test that needs network namespaces only.
pub fn require_root() -> bool {
    allowed(Uid::effective().is_root(), "root")
}

/// True if all these programs can be found. Otherwise says which is missing and is false.
///
/// # Panics
/// If one is missing and [`REQUIRE`] is `bpf`.
pub fn require_tools(programs: &[&str]) -> bool {
    programs.iter().all(|program| allowed(is_installed(program), program))
}

/// Tells the user that the running test did not run, and why.
///
/// # Panics
/// If [`REQUIRE`] is `bpf`.
pub fn skip(needs: &str) {
    allowed(false, needs);
}

fn allowed(holds: bool, needs: &str) -> bool {
    if !holds {
        let test = thread::current().name().unwrap_or("test").to_owned();
        assert!(
            std::env::var_os(REQUIRE).is_none_or(|required| required != "bpf"),
            "{test} needs {needs}, and {REQUIRE}=bpf forbids skipping it"
        );
        // Not eprintln!: the test harness swallows that when the test passes.
        writeln!(io::stderr(), "SKIPPED {test}: needs {needs}").ok();
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

/// Asks the kernel for the smallest map there is: containers often have root but no bpf(2).
fn bpf_map_can_be_made() -> bool {
    const BPF_MAP_CREATE: libc::c_long = 0;
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    // The head of union bpf_attr: map_type, key_size, value_size, max_entries.
    let attributes: [u32; 4] = [BPF_MAP_TYPE_ARRAY, 4, 4, 1];
    // SAFETY: the kernel reads `size_of_val(&attributes)` bytes of a live array and writes nothing.
    let map = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
    let Ok(map) = i32::try_from(map) else { return false };
    if map < 0 {
        return false;
    }
    // SAFETY: bpf(2) has just returned this descriptor; nobody else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(map) });
    true
}
