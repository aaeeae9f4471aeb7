//! `cargo xtask docs`: the tables in docs/ that are generated from the tables of the sensor.
//!
//! The example `docs` of the crate `tests`, which imports ja4-user, writes each table into a file. The pages are written by
//! hand and have each table between two marks:
//!
//! ```text
//! <!-- generated: keys -->
//! <!-- end -->
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, root, succeed};
use crate::run::target_folder;

/// The folder of the pages, from the top of the checkout.
const FOLDER: &str = "docs";

const START: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The tables by name.
type Tables = BTreeMap<String, String>;

/// Generates the tables and writes the pages that change.
pub(crate) fn write() -> Result<()> {
    for (name, text) in stale_pages(&root().join(FOLDER), &generate()?)? {
        let page = root().join(FOLDER).join(&name);
        fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
        eprintln!("{FOLDER}/{name}: written");
    }
    Ok(())
}

/// Fails unless every table in docs/ is the generated one.
pub(crate) fn check() -> Result<()> {
    let stale: Vec<_> = stale_pages(&root().join(FOLDER), &generate()?)?.into_keys().collect();
    if !stale.is_empty() {
        bail!("stale tables in {FOLDER}: {}; run `cargo xtask docs` and commit the result", stale.join(", "));
    }
    Ok(())
}

/// Runs the example and reads the tables that it writes.
fn generate() -> Result<Tables> {
    let folder = target_folder()?.join("docs");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let example = ["--package", "tests", "--example", "docs", "--locked"];
    succeed(cargo().args(["run", "--quiet"]).args(example).arg("--").arg(&folder))?;
    pages(&folder)
}

/// The Markdown files of a folder: name without extension, and text.
fn pages(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text);
        }
    }
    Ok(pages)
}

/// The pages in `folder` that have other tables: file name and new text.
///
/// # Errors
///
/// If a mark has no end, a mark names no table, or a table has no mark.
fn stale_pages(folder: &Path, tables: &Tables) -> Result<BTreeMap<String, String>> {
    let mut stale = BTreeMap::new();
    let mut used = BTreeSet::new();
    for (name, text) in pages(folder)? {
        let name = format!("{name}.md");
        let updated = replace_tables(&text, tables, &mut used).with_context(|| format!("{FOLDER}/{name}"))?;
        if updated != text {
            stale.insert(name, updated);
        }
    }
    if let Some(name) = tables.keys().find(|name| !used.contains(name.as_str())) {
        bail!("no page in {FOLDER} has the table {name}; add the marks `{START}{name} -->` and `{END}`");
    }
    Ok(stale)
}

/// A page with the text between its marks replaced. Adds the names of the tables to `used`.
fn replace_tables(page: &str, tables: &Tables, used: &mut BTreeSet<String>) -> Result<String> {
    let mut updated = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        updated.extend([line, "\n"]);
        let Some(name) = line.strip_prefix(START).and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        if !lines.any(|line| line == END) {
            bail!("the table {name} has no end; add `{END}`");
        }
        let Some(table) = tables.get(name) else {
            let names: Vec<_> = tables.keys().map(String::as_str).collect();
            bail!("no table is named {name}; the tables are {}", names.join(", "));
        };
        used.insert(name.to_owned());
        updated.extend(["\n", table.trim(), "\n\n"]);
        updated.extend([END, "\n"]);
    }
    Ok(updated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n<!-- generated: keys -->\n\nold\n\n<!-- end -->\nText\n";

    fn tables(tables: &[(&str, &str)]) -> Tables {
        tables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn docs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn only_the_text_between_the_marks_is_replaced() {
        let folder = docs(&[("page.md", PAGE), ("other.md", "# Other\n"), ("keys.toml", PAGE)]);
        let stale = stale_pages(folder.path(), &tables(&[("keys", "\n| new |\n")])).unwrap();
        let expected = "# Page\n<!-- generated: keys -->\n\n| new |\n\n<!-- end -->\nText\n";
        assert_eq!(stale, [("page.md".to_owned(), expected.to_owned())].into());
    }

    #[test]
    fn a_page_with_its_tables_is_up_to_date() {
        let folder = docs(&[("page.md", PAGE)]);
        assert!(stale_pages(folder.path(), &tables(&[("keys", "old")])).unwrap().is_empty());
    }

    #[test]
    fn a_table_without_marks_and_a_mark_without_end_are_errors() {
        let folder = docs(&[("page.md", PAGE)]);
        let error = stale_pages(folder.path(), &tables(&[("keys", "old"), ("fields", "")])).unwrap_err();
        assert!(error.to_string().starts_with("no page in docs has the table fields;"), "{error:#}");
        let folder = docs(&[("page.md", "<!-- generated: keys -->\nText\n")]);
        let error = stale_pages(folder.path(), &tables(&[("keys", "new")])).unwrap_err();
        assert_eq!(format!("{error:#}"), "docs/page.md: the table keys has no end; add `<!-- end -->`");
    }

    #[test]
    fn a_mark_that_names_no_table_is_an_error() {
        let folder = docs(&[("page.md", PAGE)]);
        let error = stale_pages(folder.path(), &tables(&[("fields", "")])).unwrap_err();
        assert_eq!(format!("{error:#}"), "docs/page.md: no table is named keys; the tables are fields");
    }
}
