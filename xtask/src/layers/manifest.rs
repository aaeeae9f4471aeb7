//! The dependencies that a crate's Cargo.toml names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// One violation for each dependency of the crate in `folder` that is forbidden: by name, or, for an `independent`
/// crate, because it is a path into the checkout.
pub(super) fn forbidden_dependencies(
    root: &Path,
    folder: &Path,
    forbidden: &[&str],
    independent: bool,
) -> Result<Vec<String>> {
    let file = folder.join("Cargo.toml");
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let manifest = read(&file)?;
    let workspace = root.join("Cargo.toml");
    let workspace = if workspace.is_file() { read(&workspace)? } else { Table::new() };
    let shared = workspace.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let mut found = BTreeSet::new();
    for (key, dependency) in dependencies(&manifest) {
        let inherited = dependency.get("workspace").is_some();
        let dependency =
            if inherited { shared.and_then(|shared| shared.get(key)).unwrap_or(dependency) } else { dependency };
        let package = dependency.get("package").and_then(Value::as_str).unwrap_or(key);
        if forbidden.contains(&package) || independent && dependency.get("path").is_some() {
            let name = file.strip_prefix(root).unwrap_or(&file).display();
            found.insert(format!("{name}: this crate must not depend on {package}"));
        }
    }
    Ok(found.into_iter().collect())
}

/// Key and value of every dependency of a manifest, except dev-dependencies.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let owners = targets.filter_map(Value::as_table).chain([manifest]);
    owners
        .flat_map(|owner| ["dependencies", "build-dependencies"].map(|section| owner.get(section)))
        .flatten()
        .filter_map(Value::as_table)
        .flatten()
}

fn read(file: &Path) -> Result<Table> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.parse().with_context(|| format!("cannot parse {}", file.display()))
}
