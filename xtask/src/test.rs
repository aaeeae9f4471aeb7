//! `cargo xtask test`: every test there is.

use std::ffi::OsString;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::requirements::{self, Scope};
use crate::run::built;

/// Where tests and benches that start the sensor find it.
pub(crate) const SENSOR: &str = "JA4SENSOR_BIN";

/// Unit tests of ja4-user are the longest build there is, and run for seconds: without optimization it is a third.
const UNOPTIMIZED: &str = "profile.dev.package.ja4-user.opt-level=0";

/// Reports what the tests lack on this machine, after installing it if `install` is set, and runs them.
pub(crate) fn run(install: bool, args: &[OsString]) -> Result<()> {
    requirements::prepare(Scope::Test, install)?;
    test(args)
}

/// Runs all tests of the workspace: of its libraries, then those of the whole sensor, which start the binary of the
/// tests' own build: it checks for overflow too, and costs no second build. Those that need root say so on stderr when
/// they are skipped, and fail where `JA4_TEST_REQUIRE=bpf` is set.
pub(crate) fn test(args: &[OsString]) -> Result<()> {
    let workspace = |targets: &[&str]| {
        let mut test = cargo();
        test.args(["test", "--workspace", "--locked"]).args(targets);
        test
    };
    succeed(workspace(&["--lib", "--config", UNOPTIMIZED]).args(args))?;
    // cargo builds a package's binaries for its integration tests.
    let whole = ["--bins", "--test", "*"];
    succeed(workspace(&whole).arg("--no-run"))?;
    succeed(workspace(&whole).args(args).env(SENSOR, built("debug")?))?;
    succeed(workspace(&["--doc"]).args(args))
}

/// The library with JA4 alone passes its own tests. That the binary builds without the other methods, the lints show.
pub(crate) fn ja4_alone() -> Result<()> {
    let only = ["--package", "ja4-user", "--lib", "--no-default-features"];
    succeed(cargo().args(["test", "--locked", "--config", UNOPTIMIZED]).args(only))
}
