//! The outputs: standard output, attached readers, alert sinks and the database.

pub mod alert;
pub mod attach;
mod settings;
pub mod stdout;
pub mod storage;

pub use self::settings::OutputSettings;
