//! Messages to the engine's thread.

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::detect::DetectionContent;
use crate::model::{EngineQuery, QueryAnswer};

/// A message to the engine's thread.
#[derive(Debug)]
pub enum EngineMessage {
    /// New rules and label databases, and what is informed once they are in force.
    Reload(Box<DetectionContent>, Sender<()>),
    /// A query of the API; the result is a list of JSON objects.
    Query(EngineQuery, oneshot::Sender<QueryAnswer>),
    /// Ends the engine; later messages are ignored.
    End,
}
