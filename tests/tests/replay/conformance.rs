//! Public captures, which are not part of the project, and their expected values.

use super::*;

/// Returns the folder of the public captures and their expected values, if it is present.
pub(crate) fn conformance() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = std::env::var_os("JA4_CONFORMANCE").map_or(beside, PathBuf::from);
    if !folder.join("check.py").is_file() {
        privilege::skipped("the conformance captures, in the folder that JA4_CONFORMANCE names");
        return None;
    }
    Some(folder.canonicalize().unwrap())
}

#[test]
fn public_captures_give_the_values_of_the_specification() {
    let Some(folder) = conformance() else { return };
    if !require_tools(&["python3"]) {
        return;
    }
    let mut check = Command::new("python3");
    check.arg(folder.join("check.py")).arg("-v");
    check.arg("--cmd").arg(format!("{} replay --format json --raw {{pcap}}", Sensor::new().binary().display()));
    let outcome = Outcome::new(process::run(check, &[], process::LIMIT * 3));
    let report = outcome.stdout().to_owned();
    assert!(report.contains("runs that failed: 0"), "{report}\n{outcome}");
    assert!(!report.contains("MISSING") && !report.contains("EXTRA"), "{report}");
    outcome.ok();
}
