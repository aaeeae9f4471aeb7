//! The names of a run's interfaces.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use arcstr::ArcStr;

/// The index of an interface without a name.
pub const NO_INTERFACE: u32 = u32::MAX;

/// Names in a chunk, and chunks: 65,536 names in all, some 5 MiB. A host that starts and stops a container each minute,
/// each with an interface name of its own, needs as many in six weeks.
const CHUNK: usize = 256;
const CHUNKS: usize = 256;

/// A part of the names. Names never move, so that readers need no lock.
type Chunk = Box<[OnceLock<ArcStr>; CHUNK]>;

/// Names of interfaces, by the index in events and records. A name keeps its index until the end of the run: stored rows
/// refer to it. Readers take no lock.
#[derive(Debug)]
pub struct InterfaceNames {
    chunks: [OnceLock<Chunk>; CHUNKS],
    added: Mutex<AddedNames>,
}

/// The names in the order of their indices, and those that found no room.
#[derive(Debug, Default)]
struct AddedNames {
    indices: HashMap<ArcStr, u32>,
    refused: u64,
}

impl InterfaceNames {
    /// Returns a name.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&str> {
        let index = index as usize;
        let chunk = self.chunks.get(index / CHUNK)?.get()?;
        chunk.get(index % CHUNK)?.get().map(ArcStr::as_str)
    }

    /// Returns the index of a name, which is added if it is new. Returns [`NO_INTERFACE`] if there is no room.
    pub fn index_of(&self, name: &str) -> u32 {
        let mut added = self.added();
        if let Some(index) = added.indices.get(name) {
            return *index;
        }
        let next = added.indices.len();
        let Some(chunk) = self.chunks.get(next / CHUNK) else {
            added.refused += 1;
            return NO_INTERFACE;
        };
        let name = ArcStr::from(name);
        let chunk = chunk.get_or_init(|| Box::new([const { OnceLock::new() }; CHUNK]));
        if let Some(slot) = chunk.get(next % CHUNK) {
            let _set = slot.set(ArcStr::clone(&name));
        }
        added.indices.insert(name, next as u32);
        next as u32
    }

    /// Returns the number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.added().indices.len()
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how often a name found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.added().refused
    }

    /// The names by index.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..).map_while(|index| self.get(index))
    }

    fn added(&self) -> MutexGuard<'_, AddedNames> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for InterfaceNames {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], added: Mutex::default() }
    }
}

impl<S: AsRef<str>> FromIterator<S> for InterfaceNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let all = Self::default();
        for name in names {
            all.index_of(name.as_ref());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_index() {
        let names = InterfaceNames::default();
        assert_eq!(["eth0", "veth1", "eth0"].map(|name| names.index_of(name)), [0, 1, 0]);
        assert_eq!((names.get(1), names.get(2), names.len()), (Some("veth1"), None, 2));
        assert_eq!(names.iter().collect::<Vec<_>>(), ["eth0", "veth1"]);
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let names: InterfaceNames = (0..CHUNK * CHUNKS).map(|number| format!("veth{number}")).collect();
        assert_eq!(names.get(65_535), Some("veth65535"));
        assert_eq!((names.index_of("eth0"), names.index_of("veth7")), (NO_INTERFACE, 7));
        assert_eq!((names.get(NO_INTERFACE), names.len(), names.refused()), (None, 65_536, 1));
    }
}
