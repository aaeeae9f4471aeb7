//! The built-in rules.

use std::fmt::Write as _;

use anyhow::Result;
use ja4_user::detect::builtin::BuiltinRule;

/// Returns a table with one row per rule.
pub(super) fn rules() -> Result<String> {
    let mut table = String::from("| rule | alert when |\n|---|---|\n");
    for rule in BuiltinRule::ALL {
        writeln!(table, "| `{}` | {} |", rule.name(), rule.description())?;
    }
    Ok(table)
}
