//! The unit of delivery to alert sinks.

use arcstr::ArcStr;

use crate::model::Alert;

/// An alert with the raw form of its fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertLine {
    /// The alert.
    pub alert: Alert,
    /// The raw form of the fingerprint, for sinks that output raw forms.
    pub raw: Option<ArcStr>,
}
