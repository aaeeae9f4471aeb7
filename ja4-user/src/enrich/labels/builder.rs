//! Rows to labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::csv::BadRow;
use super::{BETWEEN, Database, DatabaseError, MAX_FILE, MAX_NAMED, MAX_ROWS, Table, mapping, own};
use crate::enrich::prefixes::Prefixes;
use crate::model::{Label, Method};

/// The table that ships.
const BUILTIN: &str = include_str!("builtin.toml");

/// Its name in labels.
const BUILTIN_NAME: &str = "builtin";

/// One row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) method: Method,
    /// The value, or what values begin with.
    pub(super) value: Box<str>,
    pub(super) is_prefix: bool,
    pub(super) name: Arc<str>,
    pub(super) category: Option<Arc<str>>,
    /// 0 to 100.
    pub(super) confidence: u8,
    /// What a person should know; only kept in files.
    pub(super) note: Option<String>,
}

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Values and prefixes that were taken.
    pub taken: usize,
    /// Rows that were not.
    pub bad: usize,
    /// The first of those, in the order of the file.
    pub bad_rows: Vec<BadRow>,
}

/// What a [`Builder`] holds of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The method.
    pub method: Method,
    /// Values.
    pub values: usize,
    /// Prefixes.
    pub prefixes: usize,
    /// Names.
    pub owners: usize,
    /// Values and prefixes with more than one name.
    pub shared: usize,
}

/// Collects rows and makes a [`Database`] of them. The order in which files are added decides nothing.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// With the name of the file.
    entries: Vec<(Entry, Arc<str>)>,
}

impl Builder {
    /// Nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The shipped table in it.
    #[must_use]
    pub fn with_builtin() -> Self {
        let mut builder = Self::new();
        // A test sees to it that the shipped table is well-formed.
        if let Ok(entries) = own::read(BUILTIN) {
            builder.take(entries, BUILTIN_NAME);
        }
        builder
    }

    /// Adds a file: `.csv` in the layout of ja4plus-mapping.csv, of which bad rows are left out and told, or `.toml`
    /// with `[[entry]]`, which is taken as a whole or not at all. Labels name the file without its ending.
    ///
    /// # Errors
    /// If nothing was taken.
    pub fn add(&mut self, path: &Path) -> Result<Imported, DatabaseError> {
        let is = |ending| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
        let (entries, mut imported) = if is("csv") {
            let bytes = read(path)?;
            mapping::read(&bytes).map_err(|reason| DatabaseError::Header { path: path.to_owned(), reason })?
        } else if is("toml") {
            let text = String::from_utf8(read(path)?).map_err(|_| DatabaseError::NotText { path: path.to_owned() })?;
            let entries = own::read(&text).map_err(|faults| DatabaseError::Faults { path: path.to_owned(), faults })?;
            (entries, Imported::default())
        } else {
            return Err(DatabaseError::Kind { path: path.to_owned() });
        };
        if self.entries.len() + entries.len() > MAX_ROWS {
            return Err(DatabaseError::TooMany { path: path.to_owned() });
        }
        imported.taken = entries.len();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = stem.chars().filter(|character| !character.is_control()).collect();
        self.take(entries, &name);
        Ok(imported)
    }

    fn take(&mut self, entries: Vec<Entry>, source: &str) {
        let source: Arc<str> = source.into();
        self.entries.extend(entries.into_iter().map(|entry| (entry, Arc::clone(&source))));
    }

    /// The rows as an own file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        own::write(self.entries.iter().map(|(entry, _)| entry))
    }

    /// What the rows are, by method; methods without any are left out.
    #[must_use]
    pub fn summary(&self) -> Vec<Summary> {
        let of = |method: Method| {
            let mut values: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
            for (entry, _) in self.entries.iter().filter(|(entry, _)| entry.method == method) {
                values.entry((&entry.value, entry.is_prefix)).or_default().insert(&entry.name);
            }
            let prefixes = values.keys().filter(|(_, is_prefix)| *is_prefix).count();
            Summary {
                method,
                values: values.len() - prefixes,
                prefixes,
                owners: values.values().flatten().collect::<BTreeSet<_>>().len(),
                shared: values.values().filter(|owners| owners.len() > 1).count(),
            }
        };
        Method::ALL.into_iter().map(of).filter(|summary| summary.values + summary.prefixes > 0).collect()
    }

    /// Makes the labels.
    #[must_use]
    pub fn build(self) -> Database {
        let mut owners = [(); Method::ALL.len()].map(|()| Owners::default());
        for (entry, source) in &self.entries {
            if let Some(owners) = owners.get_mut(entry.method as usize) {
                let values = if entry.is_prefix { &mut owners.prefixes } else { &mut owners.exact };
                values.entry(&entry.value).or_default().push(Owner { entry, source });
            }
        }
        Database { tables: owners.map(Owners::into_table) }
    }
}

/// The file, if it is not too large.
fn read(path: &Path) -> Result<Vec<u8>, DatabaseError> {
    let failed = |source| DatabaseError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(DatabaseError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// One row and its file.
#[derive(Clone, Copy)]
struct Owner<'b> {
    entry: &'b Entry,
    source: &'b Arc<str>,
}

/// The rows of one method.
#[derive(Default)]
struct Owners<'b> {
    exact: BTreeMap<&'b str, Vec<Owner<'b>>>,
    prefixes: BTreeMap<&'b str, Vec<Owner<'b>>>,
}

impl<'b> Owners<'b> {
    fn into_table(self) -> Table {
        let Self { exact, prefixes } = self;
        let prefixes = Prefixes::new(prefixes.into_iter().map(|(prefix, owners)| (prefix.into(), owners)).collect());
        let with_prefixes = |value: &str, own: &[Owner<'b>]| {
            let owners = own.iter().chain(prefixes.of(value).flatten()).copied();
            Arc::new(label(owners.collect()))
        };
        let exact = exact.into_iter().map(|(value, own)| (value.into(), with_prefixes(value, &own))).collect();
        // A prefix begins with itself.
        let labels = prefixes.names().map(|prefix| (prefix.into(), with_prefixes(prefix, &[]))).collect();
        Table { exact, prefixes: Prefixes::new(labels) }
    }
}

/// The label that these rows give together.
fn label(mut rows: Vec<Owner<'_>>) -> Label {
    // The highest confidence first of a name, so that it is the one that stays.
    rows.sort_by(|one, other| {
        let order = |owner: &Owner<'_>| std::cmp::Reverse(owner.entry.confidence);
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

/// The first [`MAX_NAMED`], and how many there are beside them.
fn joined<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let mut joined = names.take(MAX_NAMED).collect::<Vec<_>>().join(BETWEEN);
    if more > 0 {
        joined.push_str(&format!("{BETWEEN}{more} more"));
    }
    joined
}
