//! Builds the label database from label files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::label_database::{LabelDatabase, MethodLabels};
use super::label_entry::{ImportedLabels, LabelEntry};
use super::{label_toml, mapping_csv};
use crate::document::{Diagnostic, Diagnostics, Document};
use crate::enrich::prefix_table::PrefixTable;
use crate::model::{Label, Method};

/// Longest file, bytes. The public table is 5 kB; this is enough for a million rows.
const MAX_FILE: u64 = 128 << 20;

/// Rows of all files: labels of a million rows need some 200 MB.
const MAX_ROWS: usize = 1_000_000;

/// Owners that a label lists; it counts further ones. The confidence is divided by all of them.
const MAX_NAMED: usize = 8;

/// Between the names of owners.
pub(crate) const BETWEEN: &str = " / ";

/// The built-in table.
const BUILTIN: &str = include_str!("builtin.toml");

/// Its name in labels.
const BUILTIN_NAME: &str = "builtin";

/// The rows of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelSummary {
    /// The method.
    pub method: Method,
    /// Values.
    pub values: usize,
    /// Prefixes.
    pub prefixes: usize,
    /// Different owners.
    pub owners: usize,
    /// Values and prefixes with several owners.
    pub shared: usize,
}

/// Collects rows and builds a [`LabelDatabase`]. The order of the files does not matter.
#[derive(Clone, Debug, Default)]
pub struct LabelDatabaseBuilder {
    /// Each with the name of its file.
    entries: Vec<(LabelEntry, Arc<str>)>,
}

impl LabelDatabaseBuilder {
    /// Returns a builder without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a builder with the built-in table.
    #[must_use]
    pub fn with_builtin() -> Self {
        let mut builder = Self::new();
        // A test checks the built-in table.
        if let Ok(entries) = label_toml::read(Path::new(BUILTIN_NAME), BUILTIN) {
            builder.push(entries, BUILTIN_NAME);
        }
        builder
    }

    /// Adds a file: `.csv` in the layout of ja4plus-mapping.csv, of which bad rows are skipped, or `.toml` with `[[entry]]`,
    /// which is read as a whole or not at all. Labels name the file without its extension.
    ///
    /// # Errors
    /// All errors of the file; then nothing is added.
    pub fn add(&mut self, path: &Path) -> Result<ImportedLabels, Diagnostics> {
        let failed = |diagnostic| Diagnostics(vec![diagnostic]);
        let wrong = |message: &str| failed(Diagnostic::of_file(path, message));
        let is = |ending| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
        let (entries, mut imported) = if is("csv") {
            let bytes = Document::read_bytes(path, MAX_FILE).map_err(failed)?;
            mapping_csv::read(path, &bytes).map_err(wrong)?
        } else if is("toml") {
            let text = Document::read_text(path, MAX_FILE).map_err(failed)?;
            (label_toml::read(path, &text)?, ImportedLabels::default())
        } else {
            return Err(wrong(
                "is not a label file; expected a .csv file in the layout of ja4plus-mapping.csv or a .toml file with \
                 [[entry]]",
            ));
        };
        if self.entries.len() + entries.len() > MAX_ROWS {
            return Err(wrong(&format!("makes more than {MAX_ROWS} rows; remove other files")));
        }
        imported.entries = entries.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = stem.chars().filter(|character| !character.is_control()).collect();
        self.push(entries, &name);
        Ok(imported)
    }

    fn push(&mut self, entries: Vec<LabelEntry>, source: &str) {
        let source: Arc<str> = source.into();
        self.entries.extend(entries.into_iter().map(|entry| (entry, Arc::clone(&source))));
    }

    /// Returns the rows as a TOML file.
    #[must_use]
    pub(crate) fn to_toml(&self) -> String {
        label_toml::write(self.entries.iter().map(|(entry, _)| entry))
    }

    /// Returns the number of rows of each method that has any.
    #[must_use]
    pub fn summary(&self) -> Vec<LabelSummary> {
        let of = |method: Method| {
            let mut values: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
            for (entry, _) in self.entries.iter().filter(|(entry, _)| entry.method == method) {
                values.entry((&entry.value, entry.is_prefix)).or_default().insert(&entry.name);
            }
            let prefixes = values.keys().filter(|(_, is_prefix)| *is_prefix).count();
            LabelSummary {
                method,
                values: values.len() - prefixes,
                prefixes,
                owners: values.values().flatten().collect::<BTreeSet<_>>().len(),
                shared: values.values().filter(|owners| owners.len() > 1).count(),
            }
        };
        Method::ALL.into_iter().map(of).filter(|summary| summary.values + summary.prefixes > 0).collect()
    }

    /// Builds the labels.
    #[must_use]
    pub fn build(self) -> LabelDatabase {
        let mut owners = [(); Method::ALL.len()].map(|()| MethodOwners::default());
        for (entry, source) in &self.entries {
            if let Some(owners) = owners.get_mut(entry.method as usize) {
                let values = if entry.is_prefix { &mut owners.prefixes } else { &mut owners.exact };
                values.entry(&entry.value).or_default().push(LabelOwner { entry, source });
            }
        }
        LabelDatabase { tables: owners.map(MethodOwners::into_table) }
    }
}

/// One row and its file.
#[derive(Clone, Copy)]
struct LabelOwner<'b> {
    entry: &'b LabelEntry,
    source: &'b Arc<str>,
}

/// The rows of one method.
#[derive(Default)]
struct MethodOwners<'b> {
    exact: BTreeMap<&'b str, Vec<LabelOwner<'b>>>,
    prefixes: BTreeMap<&'b str, Vec<LabelOwner<'b>>>,
}

impl<'b> MethodOwners<'b> {
    fn into_table(self) -> MethodLabels {
        let Self { exact, prefixes } = self;
        let prefixes = PrefixTable::new(prefixes.into_iter().map(|(prefix, owners)| (prefix.into(), owners)).collect());
        let with_prefixes = |value: &str, own: &[LabelOwner<'b>]| {
            let owners = own.iter().chain(prefixes.of(value).flatten()).copied();
            Arc::new(label(owners.collect()))
        };
        let exact = exact.into_iter().map(|(value, own)| (value.into(), with_prefixes(value, &own))).collect();
        // The prefixes of a prefix include itself.
        let labels = prefixes.names().map(|prefix| (prefix.into(), with_prefixes(prefix, &[]))).collect();
        MethodLabels { exact, prefixes: PrefixTable::new(labels) }
    }
}

/// Returns the label of these rows.
fn label(mut rows: Vec<LabelOwner<'_>>) -> Label {
    // The highest confidence of a name first, so that deduplication retains it.
    rows.sort_by(|one, other| {
        let order = |owner: &LabelOwner<'_>| std::cmp::Reverse(owner.entry.confidence);
        (&one.entry.name, order(one), one.source).cmp(&(&other.entry.name, order(other), other.source))
    });
    let mut sources: Vec<&str> = rows.iter().map(|owner| &**owner.source).collect();
    sources.sort_unstable();
    sources.dedup();

    let categories: Vec<&Arc<str>> = rows.iter().filter_map(|owner| owner.entry.category.as_ref()).collect();
    let category = categories.first().filter(|first| categories.iter().all(|category| category == *first));
    let category = category.map(|category| Arc::clone(category));

    rows.dedup_by(|later, first| later.entry.name == first.entry.name);
    rows.sort_by_key(|owner| std::cmp::Reverse(owner.entry.confidence));
    let highest = rows.first().map_or(0, |owner| usize::from(owner.entry.confidence));
    let confidence = u8::try_from(highest / rows.len().max(1)).ok();
    let name = match rows.as_slice() {
        [only] => Arc::clone(&only.entry.name),
        _ => joined(rows.iter().map(|owner| &*owner.entry.name)).into(),
    };
    Label { name, source: joined(sources.into_iter()).into(), category, confidence }
}

/// Joins the first [`MAX_NAMED`] names and the number of further ones.
fn joined<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let mut joined = names.take(MAX_NAMED).collect::<Vec<_>>().join(BETWEEN);
    if more > 0 {
        joined.push_str(&format!("{BETWEEN}{more} more"));
    }
    joined
}
