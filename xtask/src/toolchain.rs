//! Finds a Rust toolchain that can build `core` for BPF.
//!
//! Stable Rust cannot: there is no prebuilt `core` for `bpfel-unknown-none`. The build needs a rustc
//! with the source of its own `core`, and bitcode that bpf-linker can read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{forget_toolchain, in_path, output, root};
use crate::provenance::Provenance;
use crate::tool::BPF_LINKER;

/// The major version of the LLVM that [`BPF_LINKER`] is built with. It reads bitcode of this version
/// and of older ones.
pub(crate) const LINKER_LLVM: u32 = 22;

/// The oldest rustc that the sources are written for: `rust-version` in ja4-ebpf/Cargo.toml.
const RUST_VERSION: (u32, u32) = (1, 95);

/// A cargo, its rustc, and their versions.
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    /// First line of `rustc --version --verbose`.
    pub(crate) version: String,
    /// `22.1.8`
    pub(crate) llvm: String,
    sysroot: PathBuf,
}

impl Toolchain {
    /// The toolchain to build the object with: the one of the committed object if it is installed, so
    /// that the bytes do not change without a reason; else a rustup nightly, another rustup toolchain,
    /// or the system's, in this order.
    ///
    /// # Errors
    ///
    /// When there is none; the message says what to install.
    pub(crate) fn find() -> Result<Self> {
        let last = Provenance::read(&root()).ok().map(|provenance| provenance.rustc);
        let mut rejected = Vec::new();
        let mut found = Vec::new();
        for (cargo, rustc) in candidates() {
            match Self::inspect(cargo, rustc) {
                Ok(toolchain) => found.push(toolchain),
                Err(why) => rejected.push(format!("  {why}")),
            }
        }
        let at = found.iter().position(|toolchain| Some(&toolchain.version) == last.as_ref()).unwrap_or(0);
        if at < found.len() {
            return Ok(found.swap_remove(at));
        }
        bail!(
            "no Rust toolchain on this machine can build the BPF programs. Examined:\n{}\n\
             Install one of these:\n  \
             Debian: apt-get install rustc-web cargo-web rust-web-src rust-web-clippy llvm-{LINKER_LLVM}-dev\n  \
             rustup: rustup toolchain install nightly --component rust-src --component clippy \
             (and LLVM {LINKER_LLVM} with its headers, for bpf-linker)\n\
             A build of ja4sensor needs none of this: it embeds the committed object.",
            if rejected.is_empty() { "  nothing".to_owned() } else { rejected.join("\n") },
        );
    }

    /// `cargo` of this toolchain, in the folder `ja4-ebpf`, without the environment of other toolchains.
    pub(crate) fn cargo(&self) -> Command {
        self.prepared(&self.cargo)
    }

    /// `cargo-clippy` of this toolchain, likewise. (`cargo clippy` would run the first one in
    /// `PATH`, which may be rustup's.)
    ///
    /// # Errors
    ///
    /// When it is not installed.
    pub(crate) fn cargo_clippy(&self) -> Result<Command> {
        let program = self.cargo.with_file_name("cargo-clippy");
        if !program.is_file() {
            bail!(
                "{} has no clippy: on Debian `apt-get install rust-web-clippy`, with rustup \
                 `rustup component add clippy` for that toolchain",
                self.version
            );
        }
        let mut command = self.prepared(&program);
        command.arg("clippy");
        Ok(command)
    }

    /// The folder of core's source, under each name that rustc may use.
    pub(crate) fn core_source(&self) -> Vec<PathBuf> {
        let source = self.sysroot.join("lib/rustlib/src/rust");
        let real = source.canonicalize().ok().filter(|real| *real != source);
        [Some(source), real].into_iter().flatten().collect()
    }

    fn prepared(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        forget_toolchain(&mut command);
        command
            .current_dir(root().join("ja4-ebpf"))
            .env("CARGO", &self.cargo)
            .env("RUSTC", &self.rustc)
            // Allows -Z flags on a stable toolchain.
            .env("RUSTC_BOOTSTRAP", "1");
        command
    }

    fn inspect(cargo: PathBuf, rustc: PathBuf) -> Result<Self> {
        let ask = |question: &[&str]| {
            let mut command = Command::new(&rustc);
            forget_toolchain(&mut command);
            output(command.args(question))
        };
        let verbose = ask(&["--version", "--verbose"])?;
        let field = |key: &str| verbose.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let toolchain = Self {
            version: verbose.lines().next().unwrap_or_default().to_owned(),
            llvm: field("LLVM version:").unwrap_or_default().to_owned(),
            sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()),
            cargo,
            rustc,
        };
        let name = format!("{} ({})", toolchain.version, toolchain.rustc.display());
        if numbers(field("release:").unwrap_or_default()) < RUST_VERSION {
            let (major, minor) = RUST_VERSION;
            bail!("{name}: older than {major}.{minor}");
        }
        if numbers(&toolchain.llvm).0 > LINKER_LLVM {
            bail!(
                "{name}: its LLVM {} is newer than the LLVM {LINKER_LLVM} of {} {}",
                toolchain.llvm,
                BPF_LINKER.name,
                BPF_LINKER.version
            );
        }
        if !toolchain.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
            bail!("{name}: without the source of core (rustup: component rust-src; Debian: package rust-web-src)");
        }
        Ok(toolchain)
    }
}

/// Every cargo with its rustc, in order of preference.
fn candidates() -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    if let Some(rustup) = in_path("rustup") {
        let ask = |arguments: &[&str]| output(Command::new(&rustup).args(arguments)).unwrap_or_default();
        let list = ask(&["toolchain", "list", "--quiet"]);
        let (nightly, other): (Vec<_>, Vec<_>) = list.lines().partition(|name| name.starts_with("nightly"));
        for name in nightly.into_iter().chain(other) {
            let path = |program| PathBuf::from(ask(&["which", "--toolchain", name, program]).trim());
            found.push((path("cargo"), path("rustc")));
        }
    }
    for folder in ["/usr/local/bin", "/usr/bin"] {
        let path = |program| Path::new(folder).join(OsStr::new(program));
        found.push((path("cargo"), path("rustc")));
    }
    found.retain(|(cargo, rustc)| cargo.is_file() && rustc.is_file());
    found
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(numbers("1.97.0-nightly"), (1, 97));
        assert_eq!(numbers("22.1.8"), (22, 1));
        assert_eq!(numbers(""), (0, 0));
        assert!(numbers("1.100.0") > numbers("1.95.0"));
    }
}
