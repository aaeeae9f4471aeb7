//! Embeds the committed BPF object, unless its sources have changed since it was built.
//!
//! Needs neither git nor any BPF tool, so a plain `cargo build` with stable Rust makes a sensor.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../xtask/src/provenance.rs"]
mod provenance;

use provenance::{FIX, OBJECT, PROVENANCE, Provenance, SOURCES};

/// Names the object to embed instead of the committed one, such as a debug build.
///
/// Read at build time only: an installed binary may have capabilities that the user who starts it lacks, so it must not
/// load an object that the user's environment names.
const OVERRIDE: &str = "JA4_EBPF_OBJECT";

fn main() {
    if let Err(why) = embed() {
        println!("cargo::error={why}");
    }
}

fn embed() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    let (object, built_with) = match env::var_os(OVERRIDE) {
        Some(file) => replacement(&root.join(file))?,
        None => committed(&root)?,
    };
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo set no OUT_DIR")?;
    fs::write(out.join("ja4.bpf.o"), &object).map_err(|error| format!("{}: {error}", out.display()))?;
    println!("cargo::rustc-env=JA4_OBJECT_SHA256={}", provenance::hex(&object));
    println!("cargo::rustc-env=JA4_OBJECT_BUILT_WITH={built_with}");
    Ok(())
}

fn committed(root: &Path) -> Result<(Vec<u8>, String), String> {
    for path in SOURCES.into_iter().chain([OBJECT, PROVENANCE, "xtask/src/provenance.rs"]) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let object = fs::read(root.join(OBJECT)).map_err(|error| format!("{OBJECT}: {error}; {FIX}"))?;
    let provenance = Provenance::read(root)?;
    provenance.verify(root, &object)?;
    Ok((object, provenance.to_string()))
}

fn replacement(file: &Path) -> Result<(Vec<u8>, String), String> {
    println!("cargo::rerun-if-changed={}", file.display());
    let object = fs::read(file).map_err(|error| format!("{OVERRIDE}: {}: {error}", file.display()))?;
    println!("cargo::warning=embedding {} in place of {OBJECT}", file.display());
    Ok((object, format!("{OVERRIDE}={}", file.display())))
}
