//! `cargo xtask test`: every test of the workspace.

use std::ffi::OsString;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::requirements::{self, Scope};
use crate::run::built;

/// Names the binary that tests and benches start.
pub(crate) const SENSOR: &str = "JA4SENSOR_BIN";

/// The unit tests of ja4-user are the longest build and run for seconds: without optimization the build takes a third.
const UNOPTIMIZED: &str = "profile.dev.package.ja4-user.opt-level=0";

/// Reports what the tests lack on this machine, after installing it if `install` is set, and runs them.
pub(crate) fn run(install: bool, args: &[OsString]) -> Result<()> {
    requirements::prepare(Scope::Test, install)?;
    test(args)
}

/// Runs the tests of the libraries, then those of the whole sensor. These start the binary of their own profile: it
/// checks for overflow, and needs no second build. A test that cannot run reports it on stderr and is skipped; with
/// `JA4_TEST_REQUIRE=bpf` it fails.
pub(crate) fn test(args: &[OsString]) -> Result<()> {
    let workspace = |targets: &[&str]| {
        let mut test = cargo();
        test.args(["test", "--workspace", "--locked"]).args(targets);
        test
    };
    succeed(workspace(&["--lib", "--config", UNOPTIMIZED]).args(args))?;
    // Builds the binary too: ja4-user has integration tests.
    let whole = ["--bins", "--test", "*"];
    succeed(workspace(&whole).arg("--no-run"))?;
    succeed(workspace(&whole).args(args).env(SENSOR, built("debug")?))?;
    succeed(workspace(&["--doc"]).args(args))
}

/// The tests of the libraries with JA4 alone. The lints compile the binary without the other methods.
pub(crate) fn ja4_alone() -> Result<()> {
    let only = ["--package", "ja4", "--package", "ja4-user", "--lib", "--no-default-features"];
    succeed(cargo().args(["test", "--locked", "--config", UNOPTIMIZED]).args(only))
}
