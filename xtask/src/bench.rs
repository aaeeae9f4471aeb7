//! `cargo xtask bench`: the figures of the design's budget table.
//!
//! The measuring itself is a bench of the crate `tests`: built as a release, like what it measures,
//! and not part of this program, which has to build while ja4-user does not.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, succeed};
use crate::run::build_release;
use crate::test::SENSOR;

/// Builds the release binary and the bench, and measures the rows named, or all.
pub(crate) fn bench(rows: &[String], quick: bool) -> Result<()> {
    let sensor = build_release()?;
    let mut bench = budget(&[]);
    bench.args(rows).env(SENSOR, sensor);
    if quick {
        bench.arg("--quick");
    }
    succeed(&mut bench)
}

/// Prints the rows, from the table of the bench. Its test build is enough for that.
pub(crate) fn list() -> Result<()> {
    succeed(budget(&["--profile", "dev"]).arg("--list"))
}

/// `cargo bench` up to the arguments of the bench.
fn budget(options: &[&str]) -> Command {
    let mut bench = cargo();
    bench.args(["bench", "--package", "tests", "--bench", "budget", "--locked"]).args(options).arg("--");
    bench
}
