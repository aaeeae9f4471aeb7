//! Known-bad values: exact, or with `*` anywhere.
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
//! `*` matches any text, or none. A JA4H of two or three sections without a `*` matches as a prefix, as in a label file.

use std::path::Path;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashSet};
use serde::Deserialize;

use super::file_values::{Confidence, PlainText};
use super::prefix_table::PrefixTable;
use crate::document::{Diagnostics, Document, Located, TableHeader, TomlTable, shown};
use crate::model::glob::{STAR, matches};
use crate::model::method_set::MethodName;
use crate::model::{KnownBad, Method};

/// The built-in list.
const BUILTIN: &str = include_str!("known_bad.toml");

/// The file name of the built-in list in diagnostics.
const BUILTIN_NAME: &str = "built-in known-bad list";

/// Longest file, bytes.
const MAX_FILE: u64 = 8 << 20;

/// Patterns of a method with a `*` before their end: a check tries all of them.
pub(crate) const MAX_GLOBS: usize = 1000;

/// A table `[[pattern]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternTable {
    #[serde(rename = "type")]
    method: Option<MethodName>,
    #[serde(rename = "match")]
    pattern: Option<Located<PlainText>>,
    category: Option<PlainText>,
    confidence: Option<Confidence>,
    note: Option<PlainText>,
}

/// A list of known-bad patterns. Immutable: a reload replaces it.
#[derive(Clone, Debug, Default)]
pub struct KnownBadList {
    /// By the number of the method.
    tables: [MethodPatterns; Method::ALL.len()],
}

/// The patterns of one method.
#[derive(Clone, Debug, Default)]
struct MethodPatterns {
    exact: HashMap<Box<str>, Arc<KnownBad>, RandomState>,
    /// Patterns with a single `*`, at the end.
    prefixes: PrefixTable<Arc<KnownBad>>,
    /// All others, the highest confidence first.
    globs: Vec<Arc<KnownBad>>,
}

impl KnownBadList {
    /// Returns the built-in list.
    #[must_use]
    pub fn builtin() -> Self {
        // A test checks the built-in list.
        Self::parse(Path::new(BUILTIN_NAME), BUILTIN).unwrap_or_default()
    }

    /// Reads a list from a file.
    ///
    /// # Errors
    /// All errors of the file.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let text = Document::read_text(path, MAX_FILE).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
        Self::parse(path, &text)
    }

    /// Adds another list to this one. Its entries replace those of the same pattern.
    ///
    /// # Errors
    /// The method for which both lists together have more than `MAX_GLOBS` patterns with a `*` before their end.
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

    /// Reads a list from a text.
    ///
    /// # Errors
    /// All errors of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnostics> {
        let (mut document, root) = Document::parse(path, text);
        let mut lists = [(); Method::ALL.len()].map(|()| PatternLists::default());
        let mut known = HashSet::new();
        if let Some(root) = root {
            document.only_lists(root.get_ref(), &["pattern"]);
            let label = |_: &TomlTable<'_>, number| format!("pattern {number}");
            document.for_each_table(root.get_ref(), "pattern", label, |document, header, table| {
                let Some((method, bad)) = pattern(document, &header, table) else { return };
                let (label, text, method_name) = (&header.label, &bad.pattern, method.name());
                if !known.insert((method, Arc::clone(text))) {
                    document.error(header.at, format!("{label}: '{text}' is listed twice"));
                }
                let Some(list) = lists.get_mut(method as usize) else { return };
                list.push(method, bad);
                if list.globs.len() == MAX_GLOBS + 1 {
                    let message =
                        format!("{label}: {method_name} has more than {MAX_GLOBS} patterns with a * before their end");
                    document.error(header.at, message);
                }
            });
        }
        let diagnostics = document.finish();
        if !diagnostics.is_empty() {
            return Err(Diagnostics(diagnostics));
        }
        Ok(Self { tables: lists.map(PatternLists::into_table) })
    }

    /// Returns the pattern that matches a value: the one of the highest confidence, of several the exact one, then the one
    /// with the longest text before its `*`.
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

    /// The number of patterns of all methods.
    #[must_use]
    pub fn len(&self) -> usize {
        let of = |table: &MethodPatterns| table.exact.len() + table.prefixes.len() + table.globs.len();
        self.tables.iter().map(of).sum()
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MethodPatterns {
    fn extend(&mut self, extra: Self) {
        self.exact.extend(extra.exact);
        // The first of two equal patterns is used.
        let rows = extra.prefixes.into_rows().chain(std::mem::take(&mut self.prefixes).into_rows());
        self.prefixes = PrefixTable::new(rows.collect());
        let replaced: HashSet<_> = extra.globs.iter().map(|known| Arc::clone(&known.pattern)).collect();
        self.globs.retain(|known| !replaced.contains(&known.pattern));
        self.globs.extend(extra.globs);
        sort_globs(&mut self.globs);
    }
}

/// Sorts patterns in the order in which they are tried.
fn sort_globs(globs: &mut [Arc<KnownBad>]) {
    let before = |known: &KnownBad| known.pattern.find(STAR);
    globs.sort_by_cached_key(|known| std::cmp::Reverse((known.confidence, before(known))));
}

/// The patterns of one method while a list is read.
#[derive(Default)]
struct PatternLists {
    exact: Vec<Arc<KnownBad>>,
    prefixes: Vec<(Box<str>, Arc<KnownBad>)>,
    globs: Vec<Arc<KnownBad>>,
}

impl PatternLists {
    fn push(&mut self, method: Method, known: KnownBad) {
        let known = Arc::new(known);
        match known.pattern.split_once(STAR) {
            None if method.matches_partially(&known.pattern) => {
                self.prefixes.push(((*known.pattern).into(), known));
            }
            None => self.exact.push(known),
            Some((prefix, "")) => self.prefixes.push((prefix.into(), Arc::clone(&known))),
            Some(_) => self.globs.push(known),
        }
    }

    fn into_table(self) -> MethodPatterns {
        let Self { exact, mut prefixes, mut globs } = self;
        // A partial JA4H `x` and the pattern `x*` are the same prefix: the higher confidence is used.
        prefixes.sort_by_key(|(_, known)| std::cmp::Reverse(known.confidence));
        sort_globs(&mut globs);
        let exact = exact.into_iter().map(|known| ((*known.pattern).into(), known)).collect();
        MethodPatterns { exact, prefixes: PrefixTable::new(prefixes), globs }
    }
}

/// Returns a pattern and its method; `None`: it has errors.
fn pattern(document: &mut Document<'_>, header: &TableHeader, table: PatternTable) -> Option<(Method, KnownBad)> {
    let PatternTable { method, pattern, category, confidence, note } = table;
    let label = &header.label;
    let method = document.required(method, "type", header);
    let pattern = document.required(pattern, "match", header);
    let category = document.required(category, "category", header);
    let confidence = document.required(confidence, "confidence", header);
    let note = document.required(note, "note", header);
    let (MethodName(method), Located { value: PlainText(pattern), at }) = (method?, pattern?);
    let (name, text) = (method.name(), shown(&pattern));
    if pattern.len() > ja4::MAX_VALUE || !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        document.error(at, format!("{label}: '{text}' cannot match a {name} value"));
        return None;
    }
    if pattern.chars().all(|character| character == STAR) {
        document.error(at, format!("{label}: '{text}' matches every {name} value"));
        return None;
    }
    let is_value = method.matches(&pattern) || method.matches_partially(&pattern);
    if !pattern.contains(STAR) && !is_value {
        document.error(at, format!("{label}: '{text}' is not a {name} value; write * for the parts that vary"));
        return None;
    }
    let (PlainText(category), Confidence(confidence), PlainText(note)) = (category?, confidence?, note?);
    Some((method, KnownBad { pattern: pattern.into(), category: category.into(), confidence, note: note.into() }))
}

#[cfg(test)]
mod tests;
