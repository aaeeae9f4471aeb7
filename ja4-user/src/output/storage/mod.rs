//! History: what the sensor has seen, in one SQLite file.
//!
//! One thread writes ([`writer`]): it takes [`WriteOp`]s in batches through a bounded queue, a transaction a
//! batch. Readers ([`reader`]) have a read-only handle of their own and a time limit.
//!
//! | table | holds | found by |
//! |---|---|---|
//! | `connection` | one row a connection, written at its first fingerprint and again at its end | id; duration class and end |
//! | `fingerprint` | one row a fingerprint of a connection | connection, of whose number its own is made; value and time |
//! | `fingerprint_value` | each value once, with what is known of it | id; method and value |
//! | `first_seen` | what was seen when, on the network or at a host | value and host |
//! | `alert` | what rules have found | time; flow |
//! | `profile` | pairs of a behaviour profile, by the sensor that counted them | the pair |
//! | `sensor` | whose database it is | |
//! | `sensor_run` | runs with their counters | id |
//! | `unmigrated` | rows of an older version that could not be carried over, and why | id |
//!
//! No index of the large tables has a random key: connections are numbered in the order in which they
//! were first seen, their fingerprints are clustered by that number, and the index by value grows at the
//! end of each value's run. What is random, the text of values, is looked up in the table of values alone,
//! and mostly in memory.

pub mod delete;
pub mod error;
pub mod first_seen_filter;
pub mod handle;
pub mod import;
pub mod reader;
pub mod schema;
pub mod version;
pub mod write_op;
pub mod writer;

mod columns;
mod connection_row;
mod fingerprint_rows;
mod live;
mod lock;
mod migrate;
mod open;
mod retention;
mod rows;
mod sql;
mod status;
mod trim;
mod value_ids;

pub use self::error::StorageError;
pub use self::handle::{MAX_BATCH, WriterHandle};
pub use self::lock::check_unused;
pub use self::reader::{DatabaseReader, DiffOptions, DiffReport, DiffWindow, HistoryFilter};
pub use self::status::WriterStatus;
pub use self::version::{Changed, Migrated};
pub use self::write_op::{FirstSeenRow, OWN, RunEnd, SavedStateLimits, SensorRun, WriteOp};
pub use self::writer::{Retention, Writer, WriterOptions};
