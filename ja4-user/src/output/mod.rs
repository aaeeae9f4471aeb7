//! The outputs: standard output, event files, a packet file, attached readers, alert sinks and the database.

pub mod alert;
mod append_file;
pub mod attach;
mod file_counters;
pub mod files;
pub(crate) mod line_queue;
pub mod packet_file;
mod settings;
pub mod stdout;
pub mod storage;

pub use self::settings::OutputSettings;
