//! The built-in rules.

use std::fmt::Write as _;

use anyhow::Result;
use ja4_user::detect::builtin::BuiltinRule;
use ja4_user::model::signature_id::{BUILTIN_RULES, signature_id};

/// Returns a table with one row per rule.
pub(super) fn rules() -> Result<String> {
    let mut table = String::from("| rule | `signature_id` | alert when |\n|---|---|---|\n");
    for rule in BuiltinRule::ALL {
        writeln!(table, "| `{}` | {} | {} |", rule.name(), signature_id(rule.name()), rule.description())?;
    }
    Ok(table)
}

/// Returns a table with one row per rule that is not in [`rules`], and its number.
pub(super) fn signature_ids() -> Result<String> {
    let mut table = String::from("| rule | `signature_id` |\n|---|---|\n");
    for (name, number) in BUILTIN_RULES.iter().filter(|(name, _)| BuiltinRule::named(name).is_none()) {
        writeln!(table, "| `{name}` | {number} |")?;
    }
    Ok(table)
}
