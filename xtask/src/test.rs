//! `cargo xtask test`: every test there is.

use std::ffi::OsString;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::run::built;

/// Where tests and benches that start the sensor find it.
pub(crate) const SENSOR: &str = "JA4SENSOR_BIN";

/// Runs all tests of the workspace. Those of the whole sensor start the binary of the tests' own build: it
/// checks for overflow too, and costs no second build. Those that need root say so on stderr when
/// they are skipped, and fail where `JA4_TEST_REQUIRE=bpf` is set.
pub(crate) fn test(args: &[OsString]) -> Result<()> {
    // cargo builds a package's binaries for its integration tests.
    succeed(cargo().args(["test", "--workspace", "--locked", "--no-run"]))?;
    succeed(cargo().args(["test", "--workspace", "--locked"]).args(args).env(SENSOR, built("debug")?))
}

/// The library with JA4 alone passes its own tests. That the binary builds without the other methods, the lints show.
pub(crate) fn ja4_alone() -> Result<()> {
    succeed(cargo().args(["test", "--package", "ja4-user", "--lib", "--no-default-features", "--locked"]))
}
