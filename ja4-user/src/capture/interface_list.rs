//! The interfaces that names, patterns and exclusions select.

use super::interface::{Interface, InterfaceError};
use crate::model::glob::{self, STAR};

/// Selects every interface that is up and not loopback.
const ANY: &str = "any";

/// Precedes an exclusion.
const NOT: char = '!';

/// Returns the selected interfaces, each once, in the order of the selections.
///
/// | selection | interfaces |
/// |---|---|
/// | `eth0`, `eth0,lo` | these |
/// | `veth*` | all with such a name; `*` is any text |
/// | `any` | all that are up and not loopback |
/// | `!docker0`, `!veth*` | not these; without other selections: `any` but these |
///
/// Patterns and `any` leave out interfaces with frames that cannot be read.
///
/// # Errors
/// If a name does not exist, nothing matches a pattern, or all selected interfaces are excluded.
pub fn select(selections: &[String]) -> Result<Vec<Interface>, InterfaceError> {
    among(selections, &Interface::all()?)
}

/// Whether the selection excludes interfaces.
pub(crate) fn is_exclusion(selection: &str) -> bool {
    selection.starts_with(NOT)
}

fn among(selections: &[String], all: &[Interface]) -> Result<Vec<Interface>, InterfaceError> {
    let parts = selections.iter().flat_map(|selection| selection.split(',')).map(str::trim);
    let (excluded, mut wanted): (Vec<_>, Vec<_>) = parts.partition(|part| is_exclusion(part));
    if wanted.is_empty() && !excluded.is_empty() {
        wanted.push(ANY);
    }
    let is_excluded = |interface: &Interface| {
        excluded.iter().any(|pattern| glob::matches(pattern.trim_start_matches(NOT), &interface.name))
    };
    let mut selected: Vec<Interface> = Vec::new();
    for part in &wanted {
        let found: Vec<_> = all.iter().filter(|interface| is_selected(part, interface)).collect();
        if found.is_empty() {
            let existing = all.iter().map(|interface| interface.name.clone()).collect();
            return Err(InterfaceError::NoSuch { name: (*part).to_owned(), existing });
        }
        for interface in found {
            if !is_excluded(interface) && selected.iter().all(|other| other.index != interface.index) {
                selected.push(interface.clone());
            }
        }
    }
    if selected.is_empty() && !wanted.is_empty() {
        return Err(InterfaceError::Excluded);
    }
    Ok(selected)
}

/// Whether a name, a pattern or `any` selects an interface.
fn is_selected(selection: &str, interface: &Interface) -> bool {
    if selection == ANY {
        interface.is_up && !interface.is_loopback && interface.is_supported()
    } else if selection.contains(STAR) {
        glob::matches(selection, &interface.name) && interface.is_supported()
    } else {
        interface.name == selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loopback, three Ethernet interfaces, of which one is down, and CAN.
    fn all() -> Vec<Interface> {
        let interfaces =
            [("lo", 772, true), ("eth0", 1, true), ("veth1", 1, true), ("veth2", 1, false), ("can0", 280, true)];
        (1..)
            .zip(interfaces)
            .map(|(index, (name, link_type, is_up))| Interface {
                index,
                name: name.to_owned(),
                is_loopback: name == "lo",
                is_up,
                is_physical: None,
                mtu: None,
                link_type: Some(link_type),
            })
            .collect()
    }

    fn names(selections: &[&str]) -> Result<Vec<String>, String> {
        let selections: Vec<_> = selections.iter().map(|&selection| selection.to_owned()).collect();
        let selected = among(&selections, &all()).map_err(|error| error.to_string())?;
        Ok(selected.into_iter().map(|interface| interface.name).collect())
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
            assert_eq!(names(selections).unwrap(), expected, "{selections:?}");
        }
    }

    #[test]
    fn selections_without_interfaces_are_errors() {
        for (selections, expected) in [
            (&["eth7"][..], "cannot find interface \"eth7\"; expected one of lo, eth0, veth1, veth2, can0"),
            (&["wg*"], "cannot find interface \"wg*\"; expected one of lo, eth0, veth1, veth2, can0"),
            (&["eth0,"], "cannot find interface \"\"; expected one of lo, eth0, veth1, veth2, can0"),
            (&["eth0", "!e*"], "every selected interface is excluded with '!'"),
        ] {
            assert_eq!(names(selections).unwrap_err(), expected, "{selections:?}");
        }
    }
}
