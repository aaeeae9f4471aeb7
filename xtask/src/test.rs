//! `cargo xtask test`: every test there is.

use std::ffi::OsString;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::run::build_release;

/// Where tests and benches that start the sensor find it.
pub(crate) const SENSOR: &str = "JA4SENSOR_BIN";

/// Builds the release binary, which the tests of the whole sensor start, and runs all tests of the
/// workspace. Those that need root say so on stderr when they are skipped, and fail where
/// `JA4_TEST_REQUIRE=bpf` is set.
pub(crate) fn test(args: &[OsString]) -> Result<()> {
    let sensor = build_release()?;
    succeed(cargo().args(["test", "--workspace", "--locked"]).args(args).env(SENSOR, sensor))
}

/// The sensor with JA4 alone: builds, and passes its own tests.
pub(crate) fn ja4_alone() -> Result<()> {
    succeed(cargo().args(["build", "--package", "ja4-user", "--no-default-features", "--locked"]))?;
    succeed(cargo().args(["test", "--package", "ja4-user", "--no-default-features", "--locked"]))
}
