//! The database: connections, fingerprints, alerts and saved state in one SQLite file.
//!
//! One thread writes ([`writer`]): it receives batches of [`WriteOp`]s through a bounded queue and commits several batches
//! per transaction. Readers ([`reader`]) have a separate read-only handle and a time limit.
//!
//! | table | content | looked up by |
//! |---|---|---|
//! | `connection` | one row per connection, written at its first fingerprint and replaced at its end | id; duration class and end |
//! | `fingerprint` | one row per fingerprint of a connection | connection, which is part of its id; value and time |
//! | `fingerprint_value` | each value once, with label and known-bad match | id; method and value |
//! | `first_seen` | first and last time of a value, network-wide or of a host | value and host |
//! | `alert` | alerts | time; flow |
//! | `profile` | pairs of a behaviour profile, by sensor | the pair |
//! | `sensor` | id of the database, start of learning | |
//! | `sensor_run` | runs with their counters | id |
//! | `unmigrated` | rows of an older version that could not be migrated, with the reason | id |
//!
//! The indexes of the large tables have no random keys: connections are numbered in order of their first fingerprint,
//! fingerprints are clustered by that number, and the index by value grows at the end of each value's range. Only the text
//! of values is random; it is looked up in the table of values, mostly from a cache.

pub mod delete;
pub mod error;
pub mod first_seen_filter;
pub mod handle;
pub mod import;
pub mod reader;
pub mod schema;
pub(crate) mod settings;
pub mod version;
pub mod write_op;
pub mod writer;

mod columns;
mod connection_row;
mod fingerprint_rows;
mod lock;
mod migrate;
mod open;
mod open_connection_rows;
mod retention;
mod rows;
mod sql;
mod status;
mod trim;
mod value_ids;

pub use self::error::StorageError;
pub(crate) use self::handle::MAX_BATCH;
pub use self::handle::WriterHandle;
pub(crate) use self::lock::check_unused;
pub use self::reader::{DatabaseReader, DiffOptions, DiffReport, DiffWindow, HistoryFilter};
pub use self::settings::StorageSettings;
pub use self::status::WriterStatus;
pub use self::version::{Changed, Migrated};
pub(crate) use self::write_op::OWN;
pub use self::write_op::{FirstSeenRow, RunEnd, SavedStateLimits, SeenAt, SensorRun, WriteOp};
pub use self::writer::{Retention, Writer, WriterOptions};
