//! The interfaces that names, patterns and exclusions select.
//!
//! | selection | interfaces |
//! |---|---|
//! | `eth0`, `eth0,lo` | these |
//! | `veth*` | all with such a name; `*` is any text |
//! | `any` | all that are up and not loopback |
//! | `!docker0`, `!veth*` | not these; without other selections: `any` but these |
//!
//! Patterns and `any` leave out interfaces with frames that cannot be read.

use super::interface::{Interface, InterfaceError};
use super::interface_table::InterfaceTable;
use crate::model::glob::{self, STAR};

/// Selects every interface that is up and not loopback.
const ANY: &str = "any";

/// Precedes an exclusion.
const NOT: char = '!';

/// Selections of interfaces.
#[derive(Clone, Debug)]
pub struct InterfaceList {
    wanted: Vec<InterfaceSelection>,
    /// Patterns.
    excluded: Vec<String>,
}

/// A selection that is not an exclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
enum InterfaceSelection {
    Any,
    Pattern(String),
    Name(String),
}

impl InterfaceList {
    /// Parses selections; each may have several parts, separated by commas.
    #[must_use]
    pub fn new(selections: &[String]) -> Self {
        let parts = selections.iter().flat_map(|selection| selection.split(',')).map(str::trim);
        let (excluded, wanted): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with(NOT));
        let excluded: Vec<_> = excluded.into_iter().map(|part| part.trim_start_matches(NOT).to_owned()).collect();
        let mut wanted: Vec<_> = wanted.into_iter().map(InterfaceSelection::new).collect();
        if wanted.is_empty() && !excluded.is_empty() {
            wanted.push(InterfaceSelection::Any);
        }
        Self { wanted, excluded }
    }

    /// Returns the selected interfaces, each once, in the order of the selections.
    #[must_use]
    pub fn select<'a>(&self, table: &'a InterfaceTable) -> Vec<&'a Interface> {
        let mut selected: Vec<&Interface> = Vec::new();
        for selection in &self.wanted {
            for interface in table.iter().filter(|interface| selection.selects(interface)) {
                if !self.excludes(&interface.name) && selected.iter().all(|other| other.index != interface.index) {
                    selected.push(interface);
                }
            }
        }
        selected
    }

    /// Whether an interface is selected by its name, and not by a pattern.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.named().any(|named| named == name)
    }

    /// Returns the names without an interface.
    #[must_use]
    pub fn missing(&self, table: &InterfaceTable) -> Vec<String> {
        self.named().filter(|name| table.named(name).is_err()).map(str::to_owned).collect()
    }

    /// Returns the patterns that match no interface now.
    #[must_use]
    pub fn unmatched(&self, table: &InterfaceTable) -> Vec<&str> {
        let is_unmatched = |selection: &&InterfaceSelection| {
            let mut interfaces = table.iter().filter(|interface| selection.selects(interface));
            !matches!(selection, InterfaceSelection::Name(_))
                && interfaces.all(|interface| self.excludes(&interface.name))
        };
        self.wanted.iter().filter(is_unmatched).map(InterfaceSelection::text).collect()
    }

    /// Checks that a run can start: every name exists. Patterns may match interfaces later.
    ///
    /// # Errors
    /// If a name does not exist, or all selections are names that are excluded.
    pub fn require_names(&self, table: &InterfaceTable) -> Result<(), InterfaceError> {
        let names = self.wanted.iter().filter_map(InterfaceSelection::name);
        names.clone().try_for_each(|name| table.named(name).map(drop))?;
        let is_only_names = names.count() == self.wanted.len();
        if is_only_names && self.named().next().is_none() && !self.wanted.is_empty() {
            return Err(InterfaceError::Excluded);
        }
        Ok(())
    }

    /// The selected names that are not excluded.
    fn named(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().filter_map(InterfaceSelection::name).filter(|name| !self.excludes(name))
    }

    fn excludes(&self, name: &str) -> bool {
        self.excluded.iter().any(|pattern| glob::matches(pattern, name))
    }
}

impl InterfaceSelection {
    fn new(text: &str) -> Self {
        if text == ANY {
            Self::Any
        } else if text.contains(STAR) {
            Self::Pattern(text.to_owned())
        } else {
            Self::Name(text.to_owned())
        }
    }

    fn selects(&self, interface: &Interface) -> bool {
        match self {
            Self::Any => interface.is_up && !interface.is_loopback && interface.is_supported(),
            Self::Pattern(pattern) => glob::matches(pattern, &interface.name) && interface.is_supported(),
            Self::Name(name) => interface.name == *name,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Any | Self::Pattern(_) => None,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Any => ANY,
            Self::Pattern(text) | Self::Name(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::link_message::ReportedLink;

    /// Loopback, three Ethernet interfaces, of which one is down, and CAN.
    fn table() -> InterfaceTable {
        let interfaces =
            [("lo", 772, true), ("eth0", 1, true), ("veth1", 1, true), ("veth2", 1, false), ("can0", 280, true)];
        let mut table = InterfaceTable::default();
        for (index, (name, link_type, is_up)) in (1..).zip(interfaces) {
            table.add(&ReportedLink {
                index,
                name,
                link_type,
                is_up,
                is_loopback: name == "lo",
                ..ReportedLink::default()
            });
        }
        table
    }

    fn list(selections: &[&str]) -> InterfaceList {
        InterfaceList::new(&selections.iter().map(|&selection| selection.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_patterns_and_exclusions_select_interfaces() {
        for (selections, expected) in [
            (&["veth1", "eth0"][..], &["veth1", "eth0"][..]),
            (&["eth0,lo", "eth0"], &["eth0", "lo"]),
            (&["veth*"], &["veth1", "veth2"]),
            (&["any"], &["eth0", "veth1"]),
            (&["!eth0"], &["veth1"]),
            (&["*", "!veth*"], &["lo", "eth0"]),
            (&["any,!eth*"], &["veth1"]),
            // Attaching reports that its frames cannot be read.
            (&["can0"], &["can0"]),
            (&[], &[]),
        ] {
            let (table, list) = (table(), list(selections));
            let selected: Vec<_> = list.select(&table).into_iter().map(|interface| &*interface.name).collect();
            assert_eq!(selected, expected, "{selections:?}");
            assert!(list.require_names(&table).is_ok() && list.unmatched(&table).is_empty(), "{selections:?}");
        }
    }

    #[test]
    fn names_without_interfaces_are_errors() {
        for (selections, expected) in [
            (&["eth7"][..], "cannot find interface \"eth7\"; expected one of lo, eth0, veth1, veth2, can0"),
            (&["eth0,"], "cannot find interface \"\"; expected one of lo, eth0, veth1, veth2, can0"),
            (&["eth0", "!e*"], "every selected interface is excluded with '!'"),
        ] {
            let error = list(selections).require_names(&table()).unwrap_err().to_string();
            assert_eq!(error, expected, "{selections:?}");
        }
    }

    #[test]
    fn patterns_may_match_no_interface() {
        let list = list(&["wg*", "veth*", "eth0", "!veth*"]);
        assert!(list.require_names(&table()).is_ok());
        assert_eq!(list.unmatched(&table()), ["wg*", "veth*"]);
    }

    #[test]
    fn a_name_is_missing_until_it_exists() {
        let (list, mut table) = (list(&["eth0", "eth7", "veth*"]), table());
        assert_eq!(list.missing(&table), ["eth7"]);
        table.add(&ReportedLink { index: 9, name: "eth7", link_type: 1, ..ReportedLink::default() });
        table.remove(2);
        assert_eq!(list.missing(&table), ["eth0"]);
        assert!(list.names("eth7") && !list.names("veth1"));
    }
}
