//! `cargo xtask bench`: the figures of the design's budget table.
//!
//! The bench is in the crate `tests`, and not part of this program, which has to build while ja4-user
//! does not. It and the sensor are built with the profile of packages.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::run::build;
use crate::test::SENSOR;

/// The profile of packages.
const PROFILE: &str = "dist";

/// Builds the sensor and the bench, and measures the rows named, or all.
pub(crate) fn bench(rows: &[String], quick: bool) -> Result<()> {
    let sensor = build(PROFILE)?;
    let mut bench = budget(PROFILE);
    bench.args(rows).env(SENSOR, sensor);
    if quick {
        bench.arg("--quick");
    }
    succeed(&mut bench)
}

/// Prints the rows, from the table of the bench. Its test build is enough for that.
pub(crate) fn list() -> Result<()> {
    succeed(budget("dev").arg("--list"))
}

/// `cargo bench` up to the arguments of the bench.
fn budget(profile: &str) -> Command {
    let mut bench = cargo();
    bench.args(["bench", "--profile", profile, "--package", "tests", "--bench", "budget", "--locked", "--"]);
    bench
}
