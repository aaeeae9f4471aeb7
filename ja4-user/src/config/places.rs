//! Where the keys of a file stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::value::Path;
use crate::document::{Document, Issue};

/// Line and column of every value, by its name in messages.
#[derive(Debug)]
pub(super) struct Places {
    file: Arc<std::path::Path>,
    places: HashMap<String, (usize, usize)>,
    /// Places of what could not be read, and was left out.
    left_out: HashSet<(usize, usize)>,
}

impl Places {
    /// Of a file without any key.
    pub(super) fn none(file: &std::path::Path) -> Self {
        Self { file: file.into(), places: HashMap::new(), left_out: HashSet::new() }
    }

    pub(super) fn of(document: &Document<'_>, table: &DeTable<'_>) -> Self {
        let mut places = Self { file: document.path(), places: HashMap::new(), left_out: HashSet::new() };
        places.table(document, table, &Path::default());
        places
    }

    fn table(&mut self, document: &Document<'_>, table: &DeTable<'_>, path: &Path) {
        for (key, value) in table {
            let path = path.key(key.get_ref());
            self.places.insert(path.clone().into_text(), document.place(key.span().start));
            match value.get_ref() {
                DeValue::Table(table) => self.table(document, table, &path),
                DeValue::Array(list) => {
                    for (number, element) in (1..).zip(list.iter()) {
                        let path = path.element(number);
                        self.places.insert(path.clone().into_text(), document.place(element.span().start));
                        if let DeValue::Table(table) = element.get_ref() {
                            self.table(document, table, &path);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes that what begins at a place was left out.
    pub(super) fn leave_out(&mut self, place: (usize, usize)) {
        self.left_out.insert(place);
    }

    /// Numbers of the elements of a list that were read, from 1.
    pub(super) fn elements(&self, list: &str) -> impl Iterator<Item = usize> {
        let places = (1..).map_while(move |number| Some((number, self.places.get(&format!("{list} {number}"))?)));
        places.filter(|(_, place)| !self.left_out.contains(*place)).map(|(number, _)| number)
    }

    /// Whether the file has something of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Something about a key, or about what holds it where the key itself is not in the file.
    pub(super) fn issue(&self, key: &str, message: impl Into<String>) -> Issue {
        let mut name = key;
        let place = loop {
            if let Some(place) = self.places.get(name) {
                break Some(*place);
            }
            match name.rfind(['.', ':']) {
                Some(end) => name = name.get(..end).unwrap_or_default(),
                None => break None,
            }
        };
        Issue { path: Arc::clone(&self.file), place, message: message.into() }
    }
}
