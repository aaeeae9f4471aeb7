//! Reading of configuration files that tell every error at once.

mod document;
mod duration;
mod nearest;
mod report;

pub(super) use document::{Document, type_name};
pub(super) use duration::{parse_duration, write_duration};
pub(super) use nearest::suggestion;
pub use report::{Issue, Report, Warning};

/// Longest file that is read, bytes: thousands of rules.
pub const MAX_FILE: u64 = 1024 * 1024;
