//! `cargo xtask ci`: everything a change has to pass, cheapest first.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{cargo, root, succeed};
use crate::requirements::{self, Scope};
use crate::tool::CARGO_DENY;
use crate::{build_ebpf, clippy, test};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 8] = [
    ("format", format),
    ("lints, host half", clippy::host),
    ("BPF object", build_ebpf::check),
    ("lints, kernel half", clippy::bpf),
    ("documentation", documentation),
    // Conformance to the public captures is one of them.
    ("tests", || test::test(&[])),
    ("JA4 alone (--no-default-features)", test::ja4_alone),
    ("licences, sources, banned crates", licences),
];

/// Runs every step; the first failure ends it under that step's name.
pub(crate) fn ci(install: bool) -> Result<()> {
    requirements::prepare(Scope::Ci, install)?;
    let all = Instant::now();
    for (number, (name, step)) in (1..).zip(STEPS) {
        eprintln!("\n== {number}/{} {name}", STEPS.len());
        let start = Instant::now();
        step().with_context(|| format!("ci step \"{name}\""))?;
        eprintln!("== {name}: {:.1} s", start.elapsed().as_secs_f32());
    }
    eprintln!("\n== ci: all {} steps in {:.1} s", STEPS.len(), all.elapsed().as_secs_f32());
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
