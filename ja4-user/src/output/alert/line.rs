//! An alert on its way to the sinks.

use arcstr::ArcStr;

use crate::model::Alert;

/// An alert, and what sinks may tell beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertLine {
    /// What rules have found.
    pub alert: Alert,
    /// The raw form of its fingerprint, for sinks that tell raw forms.
    pub raw: Option<ArcStr>,
}
