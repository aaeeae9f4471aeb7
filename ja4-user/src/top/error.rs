//! Why the program ended early.

use thiserror::Error;

/// Why the program ended early.
#[derive(Debug, Error)]
pub(crate) enum TopError {
    /// The sensor or the replay did not start. It has its own exit status.
    #[error("{reason}")]
    NotStarted {
        /// What it reported.
        reason: String,
        status: Option<i32>,
    },
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}
