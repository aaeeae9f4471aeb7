//! The outputs: standard output, attached readers, alert sinks and the database.

pub mod alert;
pub mod attach;
pub mod stdout;
pub mod storage;
