//! The outputs: standard output, attached readers, alert sinks and the database.

pub mod alert;
mod append_file;
pub mod attach;
pub mod files;
pub(crate) mod line_queue;
mod settings;
pub mod stdout;
pub mod storage;

pub use self::settings::OutputSettings;
