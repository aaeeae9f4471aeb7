//! Where the keys of a file are.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Position};
use super::key_path::KeyPath;
use super::toml_document::Document;

/// The position of every key and array element by its name in messages, for checks that run on typed values.
#[derive(Debug)]
pub(crate) struct KeyPositions {
    file: Arc<Path>,
    positions: HashMap<String, Position>,
    /// Positions of keys and elements that could not be read and were skipped.
    skipped: HashSet<Position>,
}

impl KeyPositions {
    /// Returns the positions of a file without any key.
    pub(crate) fn none(file: &Path) -> Self {
        Self { file: file.into(), positions: HashMap::new(), skipped: HashSet::new() }
    }

    /// Records the positions of every key of a file. `skipped` are offsets of keys and elements that were not read.
    pub(crate) fn of(document: &Document<'_>, table: &DeTable<'_>, skipped: &HashSet<usize>) -> Self {
        let skipped = skipped.iter().map(|at| document.position(*at)).collect();
        let mut positions = Self { file: document.path(), positions: HashMap::new(), skipped };
        positions.table(document, table, &KeyPath::Root(""));
        positions
    }

    fn table(&mut self, document: &Document<'_>, table: &DeTable<'_>, parent: &KeyPath<'_>) {
        for (key, value) in table {
            let path = KeyPath::Key(parent, key.get_ref());
            self.positions.insert(path.to_string(), document.position(key.span().start));
            match value.get_ref() {
                DeValue::Table(table) => self.table(document, table, &path),
                DeValue::Array(list) => {
                    for (number, element) in (1..).zip(list.iter()) {
                        let path = KeyPath::Element(&path, number);
                        self.positions.insert(path.to_string(), document.position(element.span().start));
                        if let DeValue::Table(table) = element.get_ref() {
                            self.table(document, table, &path);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The numbers of the elements of an array that were read, from 1.
    pub(crate) fn elements(&self, list: &str) -> impl Iterator<Item = usize> {
        let all = (1..).map_while(move |number| Some((number, self.positions.get(&format!("{list} {number}"))?)));
        all.filter(|(_, position)| !self.skipped.contains(*position)).map(|(number, _)| number)
    }

    /// Whether the file has a key or element of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.positions.contains_key(name)
    }

    /// Returns a diagnostic at a key, or at the innermost table that contains it if the key is not in the file.
    pub(crate) fn diagnostic(&self, key: &str, message: impl Into<String>) -> Diagnostic {
        let mut name = key;
        let position = loop {
            if let Some(position) = self.positions.get(name) {
                break Some(*position);
            }
            match name.rfind(['.', ':']) {
                Some(end) => name = name.get(..end).unwrap_or_default(),
                None => break None,
            }
        };
        Diagnostic { path: Arc::clone(&self.file), position, message: message.into() }
    }
}
