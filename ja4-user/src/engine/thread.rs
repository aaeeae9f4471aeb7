//! The thread that owns a live engine.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::Engine;
use super::observe::Chunk;
use crate::shard::live::Shared;

/// What comes to the engine.
#[derive(Debug)]
pub enum Message {
    /// Of a shard.
    Chunk(Chunk),
    /// A line of the control plane.
    Line(Bytes),
    /// Its last one, which waits for the reader of the output: nothing else is held up by it any more.
    Last(Bytes),
}

impl Message {
    /// Lines in it.
    #[must_use]
    pub fn lines(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => count(&chunk.text),
            Self::Line(line) | Self::Last(line) => count(line),
        }
    }
}

/// Lines in a text.
fn count(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Runs until all senders are gone. Lines that find the writer's queue full are counted.
pub fn run(mut engine: Engine, queue: &Receiver<Message>, lines: &Sender<Bytes>, shared: &Shared) {
    for message in queue {
        let line = match message {
            Message::Chunk(mut chunk) => {
                let (text, observations) = (chunk.text.len(), chunk.observations.len());
                let mut finished = Vec::with_capacity(text);
                engine.take(&mut chunk, 0..text, 0..observations, &mut finished);
                finished.into()
            }
            Message::Line(line) => line,
            Message::Last(line) => {
                // Where the writer has gone, so has the reader.
                let _written = lines.send(line);
                continue;
            }
        };
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = lines.try_send(line) {
            shared.lines_dropped.fetch_add(count(&lost), Ordering::Relaxed);
        }
    }
}
