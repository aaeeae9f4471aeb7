//! Messages to the engine's thread.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::detect::DetectionContent;
use crate::model::EngineQuery;
use crate::runtime::engine::observe::Chunk;

/// What comes to the engine.
#[derive(Debug)]
pub enum EngineMessage {
    /// Of a shard.
    Chunk(Chunk),
    /// A line of the control plane.
    Line(Bytes),
    /// Other knowledge.
    Reload(Box<DetectionContent>),
    /// Somebody wants to know something; the answer is JSON.
    Ask(EngineQuery, oneshot::Sender<Vec<Bytes>>),
    /// The run ends; later messages are ignored.
    End,
}

impl EngineMessage {
    /// Lines in it.
    #[must_use]
    pub fn lines(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.lines(),
            Self::Line(line) => count_lines(line),
            Self::Reload(_) | Self::Ask(..) | Self::End => 0,
        }
    }
}

/// Lines in a text.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
