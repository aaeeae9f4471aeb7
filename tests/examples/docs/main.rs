//! Writes the generated tables of docs/ to a folder, one file per table. `cargo xtask docs` runs this program and
//! inserts each table between its marks.
//!
//! Each table is a function that reads the tables of ja4-user or a file of the project and returns Markdown.

mod configuration;
mod counters;
mod fields;
mod rules;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result};

/// A table's name in the marks, and its function.
type DocTable = (&'static str, fn() -> Result<String>);

const TABLES: [DocTable; 5] = [
    ("keys", configuration::keys),
    ("rules", rules::rules),
    ("signature_ids", rules::signature_ids),
    ("fields", fields::fields),
    ("counters", counters::counters),
];

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("docs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).context("usage: docs FOLDER")?);
    fs::create_dir_all(&folder)?;
    for (name, table) in TABLES {
        let text = table().with_context(|| format!("cannot make the table {name}"))?;
        fs::write(folder.join(format!("{name}.md")), text)?;
    }
    Ok(())
}
