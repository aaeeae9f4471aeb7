//! `cargo xtask run`: builds ja4sensor and executes it with the privileges that it needs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, in_path, root, succeed};

/// Needed to load and attach the programs; README.md says what each is for.
const CAPABILITIES: &str = "cap_bpf,cap_net_admin,cap_perfmon";

/// Builds the release binary and replaces this process by `ja4sensor run ARGS`: signals go to the
/// sensor, and the exit status is the sensor's.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    let sensor = build("release")?;
    let mut command = if is_root()? {
        Command::new(&sensor)
    } else if let Some(sudo) = in_path("sudo") {
        eprintln!("not root: starting {} through sudo", sensor.display());
        let mut command = Command::new(sudo);
        command.arg("--").arg(&sensor);
        command
    } else {
        bail!(
            "cannot load kernel programs: this user is not root, and sudo is not installed; run this command as root, \
             or as root `setcap {CAPABILITIES}=ep {sensor}` and then `{sensor} run`",
            sensor = sensor.display()
        );
    };
    let failed = command.arg("run").args(args).exec();
    Err(failed).with_context(|| format!("cannot start {}", sensor.display()))
}

/// Builds `ja4sensor` with a profile and returns its path.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    let package = ["--package", "ja4-user", "--bin", "ja4sensor", "--locked"];
    succeed(cargo().args(["build", "--profile", profile]).args(package))?;
    built(profile)
}

/// The path of the `ja4sensor` that was just built into a profile's folder.
pub(crate) fn built(profile: &str) -> Result<PathBuf> {
    let sensor = target_folder()?.join(profile).join("ja4sensor");
    if !sensor.is_file() {
        bail!("cannot find {} after its build", sensor.display());
    }
    Ok(sensor)
}

/// The target folder of the workspace: this program is `debug/xtask` in it.
pub(crate) fn target_folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(root().join(folder));
    }
    let xtask = env::current_exe()?;
    let folder = xtask.ancestors().nth(2).context("xtask is not in a target folder")?;
    Ok(folder.to_path_buf())
}

/// Whether the effective user is root: the owner of this process's own entry in /proc.
pub(crate) fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("/proc/self")?.uid() == 0)
}
