//! Build tools that come from the registry: installed once, in one version, below `target/tools`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, in_path, output, root, succeed};
use crate::toolchain::LINKER_LLVM;

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    /// The crate and its program.
    pub(crate) name: &'static str,
    /// The only version that is used: other versions give other results.
    pub(crate) version: &'static str,
    /// Further arguments of `cargo install`.
    pub(crate) flags: &'static [&'static str],
    /// Finds what the build needs, before the build starts.
    setup: fn(&mut Command) -> Result<()>,
}

/// Links the programs' bitcode into a BPF object.
pub(crate) const BPF_LINKER: Tool = Tool {
    name: "bpf-linker",
    version: "0.13.0",
    flags: &["--no-default-features", "--features", "llvm-22"],
    setup: with_llvm,
};

/// Checks licences, sources and banned crates against deny.toml.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", flags: &[], setup: |_| Ok(()) };

impl Tool {
    /// The program's path; builds the program if this version is not installed.
    ///
    /// # Errors
    ///
    /// When it cannot be built; the message says what is missing.
    pub(crate) fn installed(&self) -> Result<PathBuf> {
        let folder = folder();
        let program = folder.join("bin").join(self.name);
        if is_version(&program, self.version) {
            return Ok(program);
        }
        eprintln!("installing {} {} into {}", self.name, self.version, folder.display());
        let mut install = cargo();
        install
            .args(["install", self.name, "--version", self.version, "--locked", "--force", "--root"])
            .arg(&folder)
            .args(self.flags)
            // Unlike a temporary folder, this one lets the next install continue an interrupted one.
            .arg("--target-dir")
            .arg(folder.join("build").join(self.name))
            // Each runs for seconds: the build takes longer than any use.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        (self.setup)(&mut install).with_context(|| format!("cannot build {}", self.name))?;
        succeed(&mut install).with_context(|| format!("cannot install {}", self.name))?;
        Ok(program)
    }
}

/// `target/tools`, or the folder in `JA4_TOOLS`, which several checkouts can share.
fn folder() -> PathBuf {
    env::var_os("JA4_TOOLS").map_or_else(|| root().join("target/tools"), PathBuf::from)
}

fn is_version(program: &Path, version: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1) == Some(version))
}

/// Sets the LLVM that bpf-linker is built with. By default its build uses the first `llvm-config` in
/// `PATH`: LLVM 14 on a Debian 12 with the package llvm.
fn with_llvm(install: &mut Command) -> Result<()> {
    const PREFIX: &str = "LLVM_PREFIX";
    if env::var_os(PREFIX).is_some() {
        return Ok(());
    }
    for name in [format!("llvm-config-{LINKER_LLVM}"), "llvm-config".to_owned()] {
        let Some(config) = in_path(&name) else {
            continue;
        };
        let ask = |question| output(Command::new(&config).arg(question));
        if ask("--version")?.starts_with(&format!("{LINKER_LLVM}.")) {
            let prefix = ask("--prefix")?;
            install.env(PREFIX, prefix.trim());
            return Ok(());
        }
    }
    bail!(
        "no LLVM {LINKER_LLVM} with its headers found; on Debian `apt-get install llvm-{LINKER_LLVM}-dev`, or set \
         {PREFIX} to its folder"
    );
}
