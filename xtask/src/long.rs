//! The steps of `cargo xtask ci --long`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, root, succeed};
use crate::run::built;
use crate::test::SENSOR;

/// Kills of a writing sensor: ten times those of the short run.
const KILLS: &str = "2000";

/// Cases of each property: sixteen times those of the short run.
const CASES: &str = "4096";

/// Seconds of the soak test.
const SOAK: &str = "1200";

/// SIGKILL in the middle of writes: what was committed is there and the database is intact.
pub(crate) fn kills() -> Result<()> {
    succeed(sensor_test("storage", "kills", &[], &[])?.env("JA4_TEST_KILLS", KILLS))
}

/// The property tests of the libraries and of the kernel programs with more cases.
pub(crate) fn properties() -> Result<()> {
    let mut libraries = cargo();
    libraries.args(["test", "--workspace", "--lib", "--locked"]);
    succeed(libraries.env("PROPTEST_CASES", CASES))?;
    succeed(sensor_test("program", "properties", &[], &[])?.env("PROPTEST_CASES", CASES))
}

/// The generated captures at the size that the benches use.
pub(crate) fn captures() -> Result<()> {
    succeed(&mut sensor_test("harness", "full_size", &[], &["--ignored", "--nocapture"])?)
}

/// A live sensor under load for minutes: its memory does not grow and its counters balance.
pub(crate) fn soak() -> Result<()> {
    let mut soak = sensor_test("live", "soak", &[], &["--ignored", "--nocapture"])?;
    succeed(soak.env("JA4_TEST_SOAK", SOAK))
}

/// On the Debian kernel that is unpacked in `folder`: loads the kernel programs, and captures on interfaces that not every
/// kernel has.
pub(crate) fn kernel(folder: &Path) -> Result<()> {
    let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    let machine = root().join("tests/vm/run");
    let runner = format!("target.'cfg(all())'.runner=[{:?}, {:?}]", machine.display(), folder.display());
    for (target, filter) in [("program", "verifier"), ("live", "interfaces::")] {
        let mut test = sensor_test(target, filter, &["--config", &runner], &["--nocapture"])?;
        succeed(test.env("JA4_TEST_REQUIRE", "bpf").env("JA4_TEST_REQUIRE_INTERFACES", "all"))?;
    }
    Ok(())
}

/// `cargo test` for the tests of one target that have `filter` in their names, with options of cargo and arguments for its
/// test runner. Fails if there is no such test: a renamed test must not be skipped.
fn sensor_test(target: &str, filter: &str, options: &[&str], arguments: &[&str]) -> Result<Command> {
    // cargo builds a package's binaries for its own integration tests only.
    succeed(cargo().args(["build", "--package", "ja4-user", "--bin", "ja4sensor", "--locked"]))?;
    let tests = || {
        let mut test = cargo();
        test.args(["test", "--package", "tests", "--test", target, "--locked"]);
        test
    };
    let list = tests().args(["--", "--list", filter]).output().context("cannot list the tests")?;
    if !String::from_utf8_lossy(&list.stdout).lines().any(|line| line.ends_with(": test")) {
        bail!(
            "tests/tests/{target} has no test with '{filter}' in its name:\n{}",
            String::from_utf8_lossy(&list.stderr)
        );
    }
    let mut test = tests();
    test.args(options).args(["--", filter]).args(arguments);
    test.env(SENSOR, built("debug")?);
    Ok(test)
}
