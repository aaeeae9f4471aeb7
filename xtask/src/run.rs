//! `cargo xtask run`: builds ja4sensor and becomes it, with the rights it needs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, in_path, root, succeed};

/// What loading and attaching takes; README.md says what each is for.
const CAPABILITIES: &str = "cap_bpf,cap_net_admin,cap_perfmon";

/// Builds the release binary and replaces this process by `ja4sensor run ARGS`, so that signals
/// and the exit status are the sensor's own.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    let sensor = build_release()?;
    let mut command = if is_root()? {
        Command::new(&sensor)
    } else if let Some(sudo) = in_path("sudo") {
        eprintln!("not root: starting {} through sudo", sensor.display());
        let mut command = Command::new(sudo);
        command.arg("--").arg(&sensor);
        command
    } else {
        bail!(
            "loading kernel programs takes root or capabilities, and there is no sudo here. As root, either run this \
             again or `setcap {CAPABILITIES}=ep {sensor}`; then start `{sensor} run` yourself",
            sensor = sensor.display()
        );
    };
    let failed = command.arg("run").args(args).exec();
    Err(failed).with_context(|| format!("{} could not be started", sensor.display()))
}

/// Builds `ja4sensor` as a user would and gives its path.
pub(crate) fn build_release() -> Result<PathBuf> {
    succeed(cargo().args(["build", "--release", "--locked", "--package", "ja4-user", "--bin", "ja4sensor"]))?;
    built("release")
}

/// The `ja4sensor` of a profile's folder, which was built just now.
pub(crate) fn built(profile: &str) -> Result<PathBuf> {
    let sensor = target_folder()?.join(profile).join("ja4sensor");
    if !sensor.is_file() {
        bail!("{} is not there although it was built", sensor.display());
    }
    Ok(sensor)
}

/// The workspace's target folder: this program lies in it, at `debug/xtask`.
fn target_folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(root().join(folder));
    }
    let xtask = env::current_exe()?;
    let folder = xtask.ancestors().nth(2).context("xtask lies in no target folder")?;
    Ok(folder.to_path_buf())
}

/// Whether the effective user is root: the owner of this process's own entry in /proc.
pub(crate) fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("/proc/self")?.uid() == 0)
}
