//! Messages to the engine's thread.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::detect::DetectionContent;
use crate::model::EngineQuery;
use crate::runtime::engine::observe::Chunk;

/// A message to the engine.
#[derive(Debug)]
pub enum EngineMessage {
    /// Events of a shard.
    Chunk(Chunk),
    /// A line from the control plane.
    Line(Bytes),
    /// New rules and label databases.
    Reload(Box<DetectionContent>),
    /// A query of the API; the result is a list of JSON objects.
    Query(EngineQuery, oneshot::Sender<Vec<Bytes>>),
    /// Ends the engine; later messages are ignored.
    End,
}

impl EngineMessage {
    /// Number of output lines in the message.
    #[must_use]
    pub fn lines(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.lines(),
            Self::Line(line) => count_lines(line),
            Self::Reload(_) | Self::Query(..) | Self::End => 0,
        }
    }
}

/// Number of lines in a text.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
