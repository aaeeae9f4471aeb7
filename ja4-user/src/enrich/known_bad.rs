//! Values that are known to be bad: exact, or with `*` anywhere.
//!
//! ```toml
//! [[pattern]]
//! type = "ja4h"
//! match = "po10nn060000_cdb958d032b0_*"
//! category = "malware"
//! confidence = 80
//! note = "Darkgate"
//! ```
//!
//! `*` stands for any characters, or none. A JA4H of two or three sections without a `*` matches by prefix, as it
//! does in a database.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashSet};
use thiserror::Error;

use super::document::{Faults, Reader, Row, shown};
use super::prefixes::Prefixes;
use super::shape;
use crate::model::{KnownBad, Method};

/// The list that ships.
const BUILTIN: &str = include_str!("known_bad.toml");

/// Largest list that is read, bytes.
pub const MAX_FILE: u64 = 8 << 20;

/// Patterns of a method that have a `*` elsewhere than at their end: a check walks through all of them.
pub const MAX_GLOBS: usize = 1000;

/// The characters that stand for any others.
const STAR: char = '*';

const KEYS: [&str; 5] = ["type", "match", "category", "confidence", "note"];

/// Why a list cannot be used. What was in force stays in force.
#[derive(Debug, Error)]
pub enum KnownBadError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than [`MAX_FILE`].
    #[error("{} is larger than {} MiB", path.display(), MAX_FILE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error("{}: {faults}", path.display())]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        faults: Faults,
    },
}

/// The list in force. Immutable: a new one takes its place.
#[derive(Clone, Debug, Default)]
pub struct KnownBadList {
    /// By the number of the method.
    tables: [Table; Method::ALL.len()],
}

/// The patterns of one method.
#[derive(Clone, Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Arc<KnownBad>, RandomState>,
    /// Patterns whose only `*` is their end.
    prefixes: Prefixes<Arc<KnownBad>>,
    /// All others, the surest first.
    globs: Vec<Arc<KnownBad>>,
}

impl KnownBadList {
    /// The shipped list.
    #[must_use]
    pub fn builtin() -> Self {
        // A test sees to it that the shipped list is well-formed.
        Self::parse(BUILTIN).unwrap_or_default()
    }

    /// A user's list, in place of the shipped one.
    ///
    /// # Errors
    /// If it cannot be read, or if anything in it is wrong.
    pub fn load(path: &Path) -> Result<Self, KnownBadError> {
        let failed = |source| KnownBadError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_FILE {
            return Err(KnownBadError::TooLarge { path: path.to_owned() });
        }
        Self::parse(&text).map_err(|faults| KnownBadError::Faults { path: path.to_owned(), faults })
    }

    /// Adds another list to this one. Of a pattern that both have, the entry of the other list counts.
    ///
    /// # Errors
    /// The method for which both lists together have more than [`MAX_GLOBS`] patterns with a `*` before their end.
    pub fn extended(self, extra: Self) -> Result<Self, Method> {
        let mut tables = self.tables;
        for ((table, extra), method) in tables.iter_mut().zip(extra.tables).zip(Method::ALL) {
            table.extend(extra);
            if table.globs.len() > MAX_GLOBS {
                return Err(method);
            }
        }
        Ok(Self { tables })
    }

    /// The list that a text holds.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let (mut reader, rows) = Reader::open(text, "pattern", &KEYS);
        let mut lists = [(); Method::ALL.len()].map(|()| Patterns::default());
        let mut seen = HashSet::new();
        for row in &rows {
            let Some((method, known)) = pattern(&mut reader, row) else { continue };
            if !seen.insert((method, Arc::clone(&known.pattern))) {
                reader.fault(row.at, format!("'{}' stands here twice", known.pattern));
            }
            let Some(list) = lists.get_mut(method as usize) else { continue };
            list.push(method, known);
            if list.globs.len() == MAX_GLOBS + 1 {
                let message = format!(
                    "{method} has more than {MAX_GLOBS} patterns with a * before their end",
                    method = method.name()
                );
                reader.fault(row.at, message);
            }
        }
        reader.close()?;
        Ok(Self { tables: lists.map(Patterns::into_table) })
    }

    /// What is known to be bad about a value: of several patterns that match the surest, and of those as sure the
    /// exact one, then the one with the longest text before its `*`.
    #[must_use]
    pub fn check(&self, method: Method, value: &str) -> Option<Arc<KnownBad>> {
        let table = self.tables.get(method as usize)?;
        let mut best = table.exact.get(value);
        let glob = table.globs.iter().find(|known| matches(&known.pattern, value));
        for known in table.prefixes.of(value).chain(glob) {
            if best.is_none_or(|best| best.confidence < known.confidence) {
                best = Some(known);
            }
        }
        best.map(Arc::clone)
    }

    /// Patterns of all methods.
    #[must_use]
    pub fn len(&self) -> usize {
        let of = |table: &Table| table.exact.len() + table.prefixes.len() + table.globs.len();
        self.tables.iter().map(of).sum()
    }

    /// Whether nothing is known to be bad.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    fn extend(&mut self, extra: Self) {
        self.exact.extend(extra.exact);
        // Of two equal patterns the first counts.
        let rows = extra.prefixes.into_rows().chain(std::mem::take(&mut self.prefixes).into_rows());
        self.prefixes = Prefixes::new(rows.collect());
        let replaced: HashSet<_> = extra.globs.iter().map(|known| Arc::clone(&known.pattern)).collect();
        self.globs.retain(|known| !replaced.contains(&known.pattern));
        self.globs.extend(extra.globs);
        sort_globs(&mut self.globs);
    }
}

/// Sorts patterns in the order in which a check tries them.
fn sort_globs(globs: &mut [Arc<KnownBad>]) {
    let before = |known: &KnownBad| known.pattern.find(STAR);
    globs.sort_by_cached_key(|known| std::cmp::Reverse((known.confidence, before(known))));
}

/// The patterns of one method while they are read.
#[derive(Default)]
struct Patterns {
    exact: Vec<Arc<KnownBad>>,
    prefixes: Vec<(Box<str>, Arc<KnownBad>)>,
    globs: Vec<Arc<KnownBad>>,
}

impl Patterns {
    fn push(&mut self, method: Method, known: KnownBad) {
        let known = Arc::new(known);
        match known.pattern.split_once(STAR) {
            None if shape::is_partial(method, &known.pattern) => {
                self.prefixes.push(((*known.pattern).into(), known));
            }
            None => self.exact.push(known),
            Some((prefix, "")) => self.prefixes.push((prefix.into(), Arc::clone(&known))),
            Some(_) => self.globs.push(known),
        }
    }

    fn into_table(self) -> Table {
        let Self { exact, mut prefixes, mut globs } = self;
        // Of `x` and `x*`, which a partial JA4H may stand for both of, the surer.
        prefixes.sort_by_key(|(_, known)| std::cmp::Reverse(known.confidence));
        sort_globs(&mut globs);
        let exact = exact.into_iter().map(|known| ((*known.pattern).into(), known)).collect();
        Table { exact, prefixes: Prefixes::new(prefixes), globs }
    }
}

/// A pattern; `None`: the reader knows what is wrong with it.
fn pattern(reader: &mut Reader<'_>, row: &Row<'_>) -> Option<(Method, KnownBad)> {
    let method = reader.method(row, "type");
    let pattern = reader.required(row, "match");
    let category = reader.required(row, "category");
    let note = reader.required(row, "note");
    if !row.has("confidence") {
        reader.fault(row.at, "confidence is missing");
    }
    let confidence = reader.confidence(row, "confidence");
    let (method, (pattern, at)) = (method?, pattern?);
    if pattern.len() > shape::MAX_VALUE || !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.fault(at, format!("'{}' can match no {}", shown(&pattern), method.name()));
        return None;
    }
    if pattern.chars().all(|character| character == STAR) {
        reader.fault(at, format!("'{pattern}' matches every {}", method.name()));
        return None;
    }
    let whole = shape::fits(method, &pattern) || shape::is_partial(method, &pattern);
    if !pattern.contains(STAR) && !whole {
        reader.fault(at, format!("'{}' is no {}; * stands for what may differ", shown(&pattern), method.name()));
        return None;
    }
    let ((category, _), (note, _)) = (category?, note?);
    let known =
        KnownBad { pattern: pattern.into(), category: category.into(), confidence: confidence?, note: note.into() };
    Some((method, known))
}

/// Whether a pattern matches all of a value.
fn matches(pattern: &str, value: &str) -> bool {
    let mut pieces = pattern.split(STAR);
    let Some(mut rest) = pieces.next().and_then(|first| value.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        // Without a star.
        return rest.is_empty();
    };
    // The earliest place of a piece leaves most for those behind it.
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
