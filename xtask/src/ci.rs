//! `cargo xtask ci`: everything that a change has to pass, cheapest first.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{cargo, root, succeed};
use crate::requirements::{self, Scope};
use crate::tool::CARGO_DENY;
use crate::{build_ebpf, clippy, docs, layers, long, test};

type CiStep = (&'static str, fn() -> Result<()>);

/// Less than 30 minutes on two cores.
const STEPS: &[CiStep] = &[
    ("format", format),
    ("layers", || layers::check(false)),
    ("lints, host half", clippy::host),
    ("BPF object", build_ebpf::check),
    ("lints, kernel half", clippy::bpf),
    ("documentation", documentation),
    // With JA4_CONFORMANCE, those over the public captures too.
    ("tests", || test::test(&[])),
    ("generated tables in docs/", docs::check),
    ("JA4 alone (--no-default-features)", test::ja4_alone),
    ("licences, sources, banned crates", licences),
];

/// What takes longer. `--kernel` adds a step for each other kernel.
const LONG_STEPS: &[CiStep] = &[
    ("kills during writes", long::kills),
    ("properties", long::properties),
    ("full-size captures", long::captures),
    ("soak", long::soak),
];

/// Runs every step; the first failure ends it under that step's name.
pub(crate) fn ci(install: bool) -> Result<()> {
    requirements::prepare(Scope::Ci, install)?;
    all(STEPS, &[])
}

/// Runs the steps that `ci` leaves out, and a test of the kernel programs on each kernel in `kernels`: folders that
/// `tests/vm/run` takes.
pub(crate) fn long(install: bool, kernels: &[PathBuf]) -> Result<()> {
    requirements::prepare(if kernels.is_empty() { Scope::Ci } else { Scope::Kernels }, install)?;
    all(LONG_STEPS, kernels)
}

fn all(steps: &[CiStep], kernels: &[PathBuf]) -> Result<()> {
    let start = Instant::now();
    let number = steps.len() + kernels.len();
    for (place, (name, step)) in (1..).zip(steps) {
        timed(&format!("{place}/{number} {name}"), step)?;
    }
    for (place, folder) in (steps.len() + 1..).zip(kernels) {
        timed(&format!("{place}/{number} kernel in {}", folder.display()), || long::kernel(folder))?;
    }
    eprintln!("\n== ci: all {number} steps in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

fn timed(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("\n== {name}");
    let start = Instant::now();
    step().with_context(|| format!("ci step {name}"))?;
    eprintln!("== {name}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

fn format() -> Result<()> {
    succeed(cargo().args(["fmt", "--all", "--check"]))?;
    // Through the host's cargo: formatting needs no BPF toolchain.
    succeed(cargo().args(["fmt", "--check", "--manifest-path", "ja4-ebpf/Cargo.toml"]))
}

fn documentation() -> Result<()> {
    succeed(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}

/// By deny.toml, for both halves. Advisories are left out: they need a download of their own.
fn licences() -> Result<()> {
    let deny = CARGO_DENY.installed()?;
    for manifest in ["Cargo.toml", "ja4-ebpf/Cargo.toml"] {
        succeed(
            Command::new(&deny)
                .current_dir(root())
                .args(["--locked", "--manifest-path", manifest, "--config"])
                .arg(root().join("deny.toml"))
                .args(["check", "bans", "licenses", "sources"]),
        )?;
    }
    Ok(())
}
