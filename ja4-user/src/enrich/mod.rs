//! Enrichment: labels, known-bad patterns, and what a value indicates about a connection.
//!
//! | module | from a value to |
//! |---|---|
//! | [`labels`] | The software that shows it, from local files |
//! | [`known_bad`] | Malware and tunnels that show it |
//! | [`ssh_session`] | The use of an SSH session |
//! | [`remote`] | The software that shows it, from a database on the network |
//!
//! Path and operating system are in [`model::path`](crate::model::path) and [`model::os`](crate::model::os).
//!
//! Everything but [`remote`] is built once, immutable, and queried without allocating: a reload replaces it as a whole.

mod file_values;
pub mod known_bad;
pub mod labels;
mod prefix_table;
pub mod remote;
mod settings;
pub mod ssh_session;

pub use self::known_bad::KnownBadList;
pub(crate) use self::labels::BETWEEN;
pub use self::labels::{ImportedLabels, LabelDatabase, LabelDatabaseBuilder};
pub use self::settings::LookupSettings;
