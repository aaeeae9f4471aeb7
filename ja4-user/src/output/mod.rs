//! Where results go: standard output, attached clients, alert sinks, the database.

pub mod alert;
pub mod attach;
pub mod stdout;
pub mod storage;
