//! Fingerprints to knowledge: whose a value is, whether it is known to be bad, and what it tells of the
//! path, the operating system and the use of a connection.
//!
//! | file | from a value to |
//! |---|---|
//! | [`labels`] | the applications that show it |
//! | [`known_bad`] | malware and tunnels that show it |
//! | [`path`] | MTU and tunnels, by the MSS; hops, by the TTL |
//! | [`os`] | operating systems, by TTL, window and options |
//! | [`session`] | what SSH is used for |
//! | [`remote`] | the applications that a database on the network names |
//!
//! Everything but [`remote`] is built once, immutable, and asked without allocating: who holds it replaces it
//! whole.

mod document;
pub mod known_bad;
pub mod labels;
mod prefixes;
pub mod remote;
pub mod session;
pub mod shape;

pub use self::document::{Fault, Faults};
pub use self::known_bad::{KnownBadError, KnownBadList};
pub(crate) use self::labels::BETWEEN;
pub use self::labels::{Builder, Database, DatabaseError, Imported};
