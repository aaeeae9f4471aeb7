//! The thread of the engine in a live run: reloads, queries, and what is done each second.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::model::{EngineQuery, QueryAnswer, Severity};
use crate::output::line_queue::LineQueue;
use crate::runtime::connection_query::{self, ConnectionQuerySender};
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::message::EngineMessage;
use crate::runtime::run_state::RunState;
use crate::system::clock::wall_clock;
use crate::system::shutdown::ShutdownPhase;

/// Interval at which old entries expire and counters are reported.
const TICK: Duration = Duration::from_secs(1);

/// Interval at which first-seen values and profiles are persisted.
const PERSIST: Duration = Duration::from_secs(30);

/// Runs until [`EngineMessage::End`] arrives or all senders are dropped, then stores the state. The shards have ended then.
pub fn run(
    engine: &Engine,
    workers: &[Arc<Mutex<EngineWorker>>],
    shards: &[ConnectionQuerySender],
    queue: &Receiver<EngineMessage>,
    lines: &LineQueue,
    shared: &RunState,
) {
    let mut finished = Finished::default();
    let (mut ticked, mut persisted) = (Instant::now(), Instant::now());
    loop {
        match queue.recv_timeout(TICK.saturating_sub(ticked.elapsed())) {
            Ok(EngineMessage::Reload(content, applied)) => {
                engine.reload(*content);
                let _waits = applied.try_send(());
            }
            Ok(EngineMessage::Query(query, reply)) => {
                // The client may have disconnected.
                let _received = reply.send(answer(engine, workers, shards, query));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(EngineMessage::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = Instant::now();
        if now.duration_since(ticked) >= TICK {
            let wall = wall_clock();
            engine.tick(wall, wall, &mut finished);
            if now.duration_since(persisted) >= PERSIST {
                engine.persist(&mut finished.rows);
                persisted = now;
            }
            engine.deliver(&mut finished);
            lines.send(&mut finished.text);
            shared.engine.store(engine.stats(workers).into());
            shared.engine_reported.store(Some(now.into()));
            ticked = now;
        }
    }
    engine.finish(workers, &mut finished);
    // A blocked reader of the output delays nothing else now, and the deadline bounds the wait.
    engine.deliver_last(&mut finished);
    lines.send_waiting(ShutdownPhase::Output, &mut finished.text);
    shared.engine.store(engine.stats(workers).into());
}

fn answer(
    engine: &Engine,
    workers: &[Arc<Mutex<EngineWorker>>],
    shards: &[ConnectionQuerySender],
    query: EngineQuery,
) -> QueryAnswer {
    let whole = |rows: Vec<_>| QueryAnswer { matched: rows.len(), rows, is_partial: false };
    match query {
        EngineQuery::Alerts { skip, most } => {
            let (rows, matched) = engine.recent_alerts(skip, most);
            QueryAnswer { rows, matched, is_partial: false }
        }
        EngineQuery::Connections(selection) => connection_query::connections(shards, selection),
        EngineQuery::Hosts(selection) => connection_query::hosts(shards, &selection),
        EngineQuery::Values(selection) => connection_query::values(shards, &selection),
        EngineQuery::Rules => whole(engine.rule_lines()),
        EngineQuery::Summary => {
            let alerts = Severity::ALL.map(Severity::name).into_iter().zip(engine.stats(workers).alerts);
            connection_query::summary(shards, alerts.collect())
        }
    }
}
