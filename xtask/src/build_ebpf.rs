//! `cargo xtask build-ebpf`: the kernel programs, from source to the committed object.
//!
//! The same sources, compiler and linker give the same bytes wherever the checkout, the cargo home
//! and the target folder are. `--check` compares the committed object with a build.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::command::{output, root, succeed};
use crate::dwarf;
use crate::provenance::{self, FIX, OBJECT, PROVENANCE, Provenance};
use crate::tool::BPF_LINKER;
use crate::toolchain::Toolchain;

/// Little-endian BPF, the byte order of every machine that ja4sensor is built for.
const TARGET: &str = "bpfel-unknown-none";

/// Compiler and linker flags of the programs.
const CODEGEN: [&str; 5] = [
    // BTF is made from the debug information.
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // 32-bit registers and jumps: Linux 5.1; ring buffers need 5.8 anyway. Its atomics that return a
    // value need 5.12; the programs have none.
    "-Ctarget-cpu=v3",
    "-Clink-arg=-O3",
    // Without this LLVM compiles every memset and memcpy to a loop over bytes.
    "-Clink-arg=--disable-expand-memcpy-in-order",
];

/// Builds the object and writes it and its record into the checkout.
pub(crate) fn build() -> Result<()> {
    let root = root();
    let toolchain = Toolchain::find()?;
    let object = compile(&toolchain, &[])?;
    // After the build, which may have updated Cargo.lock.
    let record = record(&toolchain, &object)?;
    write(&root.join(OBJECT), &object)?;
    write(&root.join(PROVENANCE), toml(&record).as_bytes())?;
    eprintln!("{OBJECT}: {} bytes, built with {record}", object.len());
    Ok(())
}

/// Fails unless a build of the sources gives the committed object.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let committed = fs::read(root.join(OBJECT)).with_context(|| format!("{OBJECT} ({FIX})"))?;
    let provenance = Provenance::read(&root).map_err(|why| anyhow!(why))?;
    provenance.verify(&root, &committed).map_err(|why| anyhow!(why))?;
    let toolchain = Toolchain::find()?;
    let object = compile(&toolchain, &["--locked"])?;
    let record = record(&toolchain, &object)?;
    if record == provenance {
        eprintln!("{OBJECT} is up to date, built with {record}");
        return Ok(());
    }
    if record.to_string() != provenance.to_string() {
        bail!(
            "cannot compare {OBJECT}: it was built with {provenance}, and this machine has {record}, which gives other \
             bytes; install those tools, or {FIX} and commit the result"
        );
    }
    let built = root.join("target/ebpf/ja4.bpf.o");
    write(&built, &object)?;
    bail!(
        "{OBJECT} is stale: a build of the sources gives other bytes (see {}); {FIX}",
        built.strip_prefix(&root).unwrap_or(&built).display()
    );
}

/// Builds the programs with their log lines into `out`.
pub(crate) fn debug(out: &Path) -> Result<()> {
    let object = compile(&Toolchain::find()?, &["--features", "log"])?;
    write(out, &object)?;
    eprintln!(
        "{}: {} bytes; embed it with JA4_EBPF_OBJECT={} cargo build",
        out.display(),
        object.len(),
        std::path::absolute(out)?.display()
    );
    Ok(())
}

/// `command`, a cargo of `toolchain`, set up for the kernel half: target, core, flags, linker.
///
/// # Errors
///
/// When bpf-linker cannot be installed or a path is not UTF-8.
pub(crate) fn for_bpf(mut command: Command, toolchain: &Toolchain) -> Result<Command> {
    let root = root();
    let mut flags = CODEGEN.map(str::to_owned).to_vec();
    flags.push(format!("-Clinker={}", utf8(&BPF_LINKER.installed()?)?));
    let remap = |from: &Path, to: &str| Ok::<_, anyhow::Error>(format!("--remap-path-prefix={}={to}", utf8(from)?));
    flags.push(remap(&root, ".")?);
    flags.push(remap(&root.canonicalize()?, ".")?);
    flags.push(remap(&cargo_home()?, "cargo")?);
    for source in toolchain.core_source() {
        flags.push(remap(&source, "rust")?);
    }
    command
        .args(["--release", "-Zbuild-std=core", "--target", TARGET, "--target-dir"])
        .arg(root.join("target/ebpf"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // The default of aya-ebpf is the host's. It matters for probes that read registers: no
        // program here does, and the object is the same for every host.
        .env("AYA_BPF_TARGET_ARCH", "x86_64");
    Ok(command)
}

/// Compiles, links and strips the programs.
fn compile(toolchain: &Toolchain, flags: &[&str]) -> Result<Vec<u8>> {
    let mut clean = toolchain.cargo();
    // cargo does not detect a change of bpf-linker or of its LLVM. Linking again takes a second.
    clean.args(["clean", "--quiet", "--package", "ja4-ebpf", "--release", "--target", TARGET, "--target-dir"]);
    succeed(clean.arg(root().join("target/ebpf")))?;
    let mut build = toolchain.cargo();
    build.arg("build").args(flags);
    succeed(&mut for_bpf(build, toolchain)?)?;
    let linked = root().join("target/ebpf").join(TARGET).join("release/ja4-ebpf");
    dwarf::strip(&fs::read(&linked).with_context(|| linked.display().to_string())?)
}

/// The record of `object`, just built.
fn record(toolchain: &Toolchain, object: &[u8]) -> Result<Provenance> {
    let linker = output(Command::new(BPF_LINKER.installed()?).arg("--version"))?;
    Ok(Provenance {
        object: provenance::hex(object),
        sources: provenance::sources_digest(&root()).context("cannot read the BPF sources")?,
        rustc: toolchain.version.clone(),
        llvm: toolchain.llvm.clone(),
        linker: linker.trim().to_owned(),
    })
}

fn toml(record: &Provenance) -> String {
    let Provenance { object, sources, rustc, llvm, linker } = record;
    format!(
        "# What ja4.bpf.o was built from. `cargo xtask build-ebpf` writes this file; --check and\n\
         # ja4-user/build.rs compare the checkout with it.\n\
         object-sha256 = \"{object}\"\n\
         sources-sha256 = \"{sources}\"\n\
         rustc = \"{rustc}\"\n\
         llvm = \"{llvm}\"\n\
         bpf-linker = \"{linker}\"\n"
    )
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    let home = env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes).with_context(|| file.display().to_string())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_back_as_written() {
        let root = tempfile::tempdir().unwrap();
        let record = Provenance {
            object: provenance::hex(b"object"),
            sources: provenance::hex(b"sources"),
            rustc: "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)".into(),
            llvm: "22.1.8".into(),
            linker: "bpf-linker 0.13.0".into(),
        };
        write(&root.path().join(PROVENANCE), toml(&record).as_bytes()).unwrap();
        assert_eq!(Provenance::read(root.path()), Ok(record));
    }

    /// ja4-common inherits its keys from one workspace in a host build and from the other in a BPF build.
    #[test]
    fn both_workspaces_give_ja4_common_the_same_keys() {
        let inherited = |file: &str| -> Vec<String> {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let mut section = "";
            let mut keys = Vec::new();
            for line in text.lines() {
                match line.strip_prefix('[') {
                    Some(_) => section = line,
                    None if section == "[workspace.package]"
                        || section.starts_with("[workspace.lints")
                        || section == "[workspace.dependencies]" && line.starts_with("zerocopy") =>
                    {
                        keys.push(format!("{section} {line}"));
                    }
                    None => {}
                }
            }
            keys.retain(|key| key.contains('='));
            keys.sort();
            keys
        };
        assert_eq!(inherited("Cargo.toml"), inherited("ja4-ebpf/Cargo.toml"));
    }
}
