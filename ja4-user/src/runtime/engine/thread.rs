//! The thread that owns a live engine.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::oneshot;

use super::Engine;
use super::observe::Chunk;
use crate::detect::DetectionContent;
use crate::model::EngineQuery;
use crate::runtime::live::Shared;
use crate::system::clock::wall_clock;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// What has come together is handed on after this time at most.
const FLUSH: Duration = Duration::from_millis(20);

/// Between two looks at what has grown old.
const TICK: Duration = Duration::from_secs(1);

/// Between two savings of first-seen and profiles.
const SAVE: Duration = Duration::from_secs(30);

/// Bytes of lines that wait here while the writer's queue is full: it holds a bounded number of pieces, however small
/// each is.
const HELD: usize = 4 << 20;

/// What comes to the engine.
#[derive(Debug)]
pub enum Message {
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

impl Message {
    /// Lines in it.
    #[must_use]
    pub fn lines(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.lines(),
            Self::Line(line) => count(line),
            Self::Reload(_) | Self::Ask(..) | Self::End => 0,
        }
    }
}

/// Lines in a text.
fn count(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Runs until [`Message::End`], or until all senders are dropped, and then outputs the connections that are still open.
/// Lines are counted as dropped if the writer's queue is full, if it does not accept them before the shutdown's
/// deadline, or if they still wait here then.
pub fn run(
    mut engine: Engine,
    queue: &Receiver<Message>,
    lines: &Sender<Bytes>,
    shared: &Shared,
    deadline: &ShutdownDeadline,
) {
    let mut finished = Vec::new();
    let hand_on = |finished: &mut Vec<u8>| {
        if finished.is_empty() {
            return;
        }
        let room = finished.len();
        let line = std::mem::replace(finished, Vec::with_capacity(room)).into();
        match lines.try_send(line) {
            Ok(()) => {}
            // A reader that pauses: what little there is waits here.
            Err(TrySendError::Full(line)) if line.len() < HELD => *finished = line.into(),
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => {
                shared.lines_dropped.fetch_add(count(&lost), Ordering::Relaxed);
            }
        }
    };
    let (mut flushed, mut ticked, mut saved) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        let patience = if engine.is_idle() { TICK.saturating_sub(ticked.elapsed()) } else { FLUSH };
        match queue.recv_timeout(patience) {
            // The engine is too slow for its queue: the last counters are worth more than the rest of the queue.
            Ok(late @ Message::Chunk(_)) if deadline.has_passed(ShutdownPhase::Sinks) => shared.lose(&late),
            Ok(Message::Chunk(mut chunk)) => {
                let (text, observations) = (chunk.text.len(), chunk.observations.len());
                engine.take(&mut chunk, 0..text, 0..observations, &mut finished);
                hand_on(&mut finished);
            }
            Ok(Message::Line(line)) => {
                finished.extend_from_slice(&line);
                hand_on(&mut finished);
            }
            Ok(Message::Reload(knowledge)) => engine.reload(*knowledge),
            Ok(Message::Ask(query, answer)) => {
                // Who asked may have gone.
                let _heard = answer.send(engine.answer(&query));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = Instant::now();
        if now.duration_since(flushed) >= FLUSH {
            engine.flush();
            flushed = now;
        }
        if now.duration_since(ticked) >= TICK {
            let now_on_wall = wall_clock();
            engine.tick(now_on_wall, &mut finished);
            engine.raise_due(None, now_on_wall, &mut finished);
            hand_on(&mut finished);
            shared.engine.store(engine.stats().into());
            shared.engine_told.store(Some(now.into()));
            ticked = now;
        }
        if now.duration_since(saved) >= SAVE {
            engine.save();
            saved = now;
        }
    }
    // A blocked reader of the output delays nothing else now, and the deadline bounds the wait.
    let write = |finished: &mut Vec<u8>| {
        let chunk = std::mem::take(finished).into();
        if let Err(lost) = deadline.send(ShutdownPhase::Output, lines, chunk) {
            shared.lines_dropped.fetch_add(count(&lost), Ordering::Relaxed);
        }
    };
    write(&mut finished);
    engine.finish(write);
    shared.engine.store(engine.stats().into());
}
