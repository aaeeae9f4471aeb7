//! The thread of the engine in a live run.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::runtime::engine::Engine;
use crate::runtime::message::{EngineMessage, count_lines};
use crate::runtime::run_state::RunState;
use crate::system::clock::wall_clock;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Longest time that results are buffered.
const FLUSH: Duration = Duration::from_millis(20);

/// Interval at which old entries expire and counters are reported.
const TICK: Duration = Duration::from_secs(1);

/// Interval at which first-seen values and profiles are persisted.
const PERSIST: Duration = Duration::from_secs(30);

/// Bytes of lines that are buffered here while the writer's queue is full: the queue holds a bounded number of chunks of
/// any size.
const MAX_BUFFERED: usize = 4 << 20;

/// Runs until [`EngineMessage::End`] arrives or all senders are dropped, then outputs the connections that are still open.
/// Lines are counted as dropped if the writer's queue is full, if it does not accept them before the shutdown's
/// deadline, or if they still wait here then.
pub fn run(
    mut engine: Engine,
    queue: &Receiver<EngineMessage>,
    lines: &Sender<Bytes>,
    shared: &RunState,
    deadline: &ShutdownDeadline,
) {
    let mut finished = Vec::new();
    let send = |finished: &mut Vec<u8>| {
        if finished.is_empty() {
            return;
        }
        let room = finished.len();
        let line = std::mem::replace(finished, Vec::with_capacity(room)).into();
        match lines.try_send(line) {
            Ok(()) => {}
            // The reader pauses: the lines stay in the buffer.
            Err(TrySendError::Full(line)) if line.len() < MAX_BUFFERED => *finished = line.into(),
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => {
                shared.lines_dropped.fetch_add(count_lines(&lost), Ordering::Relaxed);
            }
        }
    };
    let (mut flushed, mut ticked, mut persisted) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        let timeout = if engine.is_idle() { TICK.saturating_sub(ticked.elapsed()) } else { FLUSH };
        match queue.recv_timeout(timeout) {
            // The queue cannot be processed in time: the last counters are worth more than the rest of the queue.
            Ok(late @ EngineMessage::Chunk(_)) if deadline.has_passed(ShutdownPhase::Output) => shared.lose(&late),
            Ok(EngineMessage::Chunk(mut chunk)) => {
                let (text, observations) = (chunk.text.len(), chunk.observations.len());
                engine.take(&mut chunk, 0..text, 0..observations, &mut finished);
                send(&mut finished);
            }
            Ok(EngineMessage::Line(line)) => {
                finished.extend_from_slice(&line);
                send(&mut finished);
            }
            Ok(EngineMessage::Reload(content)) => engine.reload(*content),
            Ok(EngineMessage::Query(query, reply)) => {
                // The client may have disconnected.
                let _received = reply.send(engine.query(&query));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(EngineMessage::End) | Err(RecvTimeoutError::Disconnected) => break,
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
            send(&mut finished);
            shared.engine.store(engine.stats().into());
            shared.engine_reported.store(Some(now.into()));
            ticked = now;
        }
        if now.duration_since(persisted) >= PERSIST {
            engine.persist();
            persisted = now;
        }
    }
    // A blocked reader of the output delays nothing else now, and the deadline bounds the wait.
    let write = |finished: &mut Vec<u8>| {
        let chunk = std::mem::take(finished).into();
        if let Err(lost) = deadline.send(ShutdownPhase::Output, lines, chunk) {
            shared.lines_dropped.fetch_add(count_lines(&lost), Ordering::Relaxed);
        }
        !deadline.has_passed(ShutdownPhase::Output)
    };
    write(&mut finished);
    engine.finish(write);
    shared.engine.store(engine.stats().into());
}
