//! Build tools that come from the registry: installed once, in one version, below `target/tools`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, root, succeed};

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    /// The crate and its program.
    pub(crate) name: &'static str,
    /// The one version that is used: its output is compared, or its verdict decides.
    pub(crate) version: &'static str,
    /// What `cargo install` is told besides.
    pub(crate) flags: &'static [&'static str],
    /// What to do when it does not build.
    pub(crate) hint: &'static str,
}

/// Links the programs' bitcode into a BPF object.
pub(crate) const BPF_LINKER: Tool = Tool {
    name: "bpf-linker",
    version: "0.13.0",
    flags: &["--no-default-features", "--features", "llvm-22"],
    hint: "it needs LLVM 22 with its headers: on Debian `apt-get install llvm-22-dev`",
};

/// Judges licences, sources and banned crates by deny.toml.
pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    flags: &[],
    hint: "it needs a C compiler: on Debian `apt-get install build-essential`",
};

impl Tool {
    /// The program's path, after building it if that version is not there yet.
    ///
    /// # Errors
    ///
    /// When it can't be built; the message holds the tool's hint.
    pub(crate) fn installed(&self) -> Result<PathBuf> {
        let folder = folder();
        let program = folder.join("bin").join(self.name);
        if is_version(&program, self.version) {
            return Ok(program);
        }
        eprintln!(
            "installing {} {} into {}",
            self.name,
            self.version,
            folder.display()
        );
        succeed(
            cargo()
                .args([
                    "install",
                    self.name,
                    "--version",
                    self.version,
                    "--locked",
                    "--force",
                    "--root",
                ])
                .arg(&folder)
                .args(self.flags)
                // Unlike a temporary folder, this one lets an interrupted install go on.
                .arg("--target-dir")
                .arg(folder.join("build").join(self.name)),
        )
        .with_context(|| format!("{} could not be installed ({})", self.name, self.hint))?;
        Ok(program)
    }
}

/// `target/tools`, or where `JA4_TOOLS` puts it so that several checkouts share one.
fn folder() -> PathBuf {
    env::var_os("JA4_TOOLS").map_or_else(|| root().join("target/tools"), PathBuf::from)
}

fn is_version(program: &Path, version: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .nth(1)
                == Some(version)
        })
}
