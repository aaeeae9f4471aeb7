//! Queries for connections, open ones and those that have ended recently. Each shard answers for its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::json;

use super::connection_tally::{ConnectionTally, line};
use crate::model::{
    ConnectionRecord, ConnectionSelection, DisplayFilter, HostSort, InterfaceNames, Method, QueryAnswer, RowSelection,
    SortKey, ValueSort,
};
use crate::runtime::handoff::ShardWaker;

/// Queries that wait in a shard. There is one, unless the shard does not run.
const CAPACITY: usize = 8;

/// How long a query waits for the shards together. A shard that runs answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Most open connections that a shard compares: it takes some milliseconds for them, in which records wait in its ring.
const MAX_COMPARED: usize = 16_384;

/// Hosts, and values of each method, in a summary.
const TOP: usize = 5;

/// What a shard is asked.
#[derive(Clone, Debug)]
pub(super) enum ShardQuery {
    /// Lines of connections.
    Rows(ConnectionSelection),
    /// Connections summed up by host, by value, or both.
    Tally { filter: Option<Arc<DisplayFilter>>, hosts: bool, values: bool },
}

/// The answer of one shard.
#[derive(Debug, Default)]
pub(super) struct ShardAnswer {
    /// Connections that the filter selects.
    matched: usize,
    open: usize,
    is_partial: bool,
    /// Lines, each with its sort key.
    rows: Vec<(SortKey, Bytes)>,
    tally: ConnectionTally,
}

/// A query to a shard.
#[derive(Debug)]
pub struct ConnectionQuery {
    query: ShardQuery,
    reply: Sender<ShardAnswer>,
}

/// Sends queries to one shard.
#[derive(Debug)]
pub struct ConnectionQuerySender {
    queue: Sender<ConnectionQuery>,
    waker: ShardWaker,
}

/// The connections of a shard.
pub(super) trait ShardConnections {
    /// Calls `act` with each open connection, those that changed last first, until it returns false.
    fn each_open(&mut self, act: &mut dyn FnMut(&ConnectionRecord) -> bool);

    /// Calls `act` with each connection that has ended recently, the latest first.
    fn each_ended(&mut self, act: &mut dyn FnMut(&ConnectionRecord));

    /// The JSON line of a connection.
    fn line(&mut self, record: &ConnectionRecord) -> Bytes;
}

/// Creates the queue of a shard, which `waker` wakes.
#[must_use]
pub fn channel(waker: ShardWaker) -> (ConnectionQuerySender, Receiver<ConnectionQuery>) {
    let (queue, receiver) = bounded(CAPACITY);
    (ConnectionQuerySender { queue, waker }, receiver)
}

impl ConnectionQuery {
    /// Answers from the connections of a shard.
    pub(super) fn answer(self, connections: &mut impl ShardConnections, interfaces: &InterfaceNames) {
        let answer = match &self.query {
            ShardQuery::Rows(selection) => rows(selection, connections, interfaces),
            ShardQuery::Tally { filter, hosts, values } => {
                let selection = RowSelection::<()> { filter: filter.clone(), ..RowSelection::default() };
                let mut answer = ShardAnswer::default();
                answer.compare(&selection, true, connections, interfaces, |_, record, tally| {
                    if *hosts {
                        tally.add_host(record);
                    }
                    if *values {
                        tally.add_values(record);
                    }
                });
                answer
            }
        };
        // The engine may have stopped waiting.
        let _received = self.reply.send(answer);
    }
}

impl ShardAnswer {
    /// Calls `found` with the place and the record of each connection that is selected.
    fn compare<S>(
        &mut self,
        selection: &RowSelection<S>,
        with_ended: bool,
        connections: &mut impl ShardConnections,
        interfaces: &InterfaceNames,
        mut found: impl FnMut(usize, &ConnectionRecord, &mut ConnectionTally),
    ) {
        let Self { matched, open, is_partial, tally, .. } = self;
        let mut place = 0;
        connections.each_open(&mut |record| {
            *is_partial = place == MAX_COMPARED;
            if !*is_partial {
                place += 1;
                if selection.includes(record, interfaces) {
                    *open += 1;
                    found(place, record, tally);
                }
            }
            !*is_partial
        });
        *matched = *open;
        let mut place = MAX_COMPARED;
        connections.each_ended(&mut |record| {
            place += 1;
            if with_ended && selection.includes(record, interfaces) {
                *matched += 1;
                found(place, record, tally);
            }
        });
    }
}

/// Returns the lines of the first connections in the order of a selection, as many as all shards together may need.
fn rows(
    ConnectionSelection { rows: selection, with_ended }: &ConnectionSelection,
    connections: &mut impl ShardConnections,
    interfaces: &InterfaceNames,
) -> ShardAnswer {
    let mut answer = ShardAnswer::default();
    let mut keys = Vec::new();
    answer.compare(selection, *with_ended, connections, interfaces, |place, record, _| {
        keys.push((selection.sort.key(record), place));
    });
    let of_all = RowSelection { skip: 0, most: selection.skip.saturating_add(selection.most), ..selection.clone() };
    let keys = keys.into_iter().map(|(key, place)| (key.clone(), (place, key)));
    let mut selected: Vec<_> = of_all.cut(keys.collect()).collect();
    selected.sort_unstable_by_key(|(place, _)| *place);
    let (mut place, mut selected) = (0, selected.into_iter().peekable());
    let mut records = Vec::with_capacity(selected.len());
    let mut take = |place: usize, record: &ConnectionRecord| {
        if let Some((_, key)) = selected.next_if(|(next, _)| *next == place) {
            records.push((key, record.clone()));
        }
        selected.peek().is_some_and(|(next, _)| *next <= MAX_COMPARED)
    };
    connections.each_open(&mut |record| {
        place += 1;
        take(place, record)
    });
    let mut place = MAX_COMPARED;
    connections.each_ended(&mut |record| {
        place += 1;
        take(place, record);
    });
    answer.rows = records.into_iter().map(|(key, record)| (key, connections.line(&record))).collect();
    answer
}

/// Asks all shards. One that does not answer in time is left out.
fn ask(shards: &[ConnectionQuerySender], query: &ShardQuery) -> ShardAnswer {
    let (reply, replies) = bounded(shards.len());
    for shard in shards {
        if shard.queue.try_send(ConnectionQuery { query: query.clone(), reply: reply.clone() }).is_ok() {
            shard.waker.wake();
        }
    }
    drop(reply);
    let deadline = Instant::now() + TIMEOUT;
    let (mut all, mut answered) = (ShardAnswer::default(), 0);
    while let Ok(of_shard) = replies.recv_deadline(deadline) {
        let ShardAnswer { matched, open, is_partial, rows, tally } = of_shard;
        all.matched += matched;
        all.open += open;
        all.is_partial |= is_partial;
        all.rows.extend(rows);
        all.tally.merge(tally);
        answered += 1;
    }
    all.is_partial |= answered < shards.len();
    all
}

/// Returns the lines of connections.
pub(super) fn connections(shards: &[ConnectionQuerySender], selection: ConnectionSelection) -> QueryAnswer {
    let query = ShardQuery::Rows(selection.clone());
    let ShardAnswer { matched, is_partial, rows, .. } = ask(shards, &query);
    QueryAnswer { rows: selection.rows.cut(rows).collect(), matched, is_partial }
}

/// Returns a row for each client.
pub(super) fn hosts(shards: &[ConnectionQuerySender], selection: &RowSelection<HostSort>) -> QueryAnswer {
    let query = ShardQuery::Tally { filter: selection.filter.clone(), hosts: true, values: false };
    let ShardAnswer { is_partial, tally, .. } = ask(shards, &query);
    let rows = tally.host_rows(selection.sort);
    let matched = rows.len();
    QueryAnswer { rows: selection.cut(rows).map(|row| line(&row.json())).collect(), matched, is_partial }
}

/// Returns a row for each fingerprint.
pub(super) fn values(shards: &[ConnectionQuerySender], selection: &RowSelection<ValueSort>) -> QueryAnswer {
    let query = ShardQuery::Tally { filter: selection.filter.clone(), hosts: false, values: true };
    let ShardAnswer { is_partial, tally, .. } = ask(shards, &query);
    let rows = tally.value_rows(selection.sort);
    let matched = rows.len();
    QueryAnswer { rows: selection.cut(rows).map(|row| line(&row.json())).collect(), matched, is_partial }
}

/// Returns a summary, with the numbers of alerts by severity.
pub(super) fn summary(shards: &[ConnectionQuerySender], alerts: BTreeMap<&str, u64>) -> QueryAnswer {
    let ShardAnswer { matched, open, is_partial, tally, .. } =
        ask(shards, &ShardQuery::Tally { filter: None, hosts: true, values: true });
    let top = RowSelection { sort: HostSort::Bytes, descending: true, most: TOP, ..RowSelection::default() };
    let talkers: Vec<_> = top.cut(tally.host_rows(top.sort)).map(|row| row.json()).collect();
    let all = RowSelection { descending: true, most: usize::MAX, ..RowSelection::<ValueSort>::default() };
    let (mut values, mut of_method) = (Vec::new(), [0; Method::ALL.len()]);
    for row in all.cut(tally.value_rows(ValueSort::Connections)) {
        // Distances seldom repeat.
        let is_distance = matches!(row.method, Method::Ja4l | Method::Ja4ls);
        if let Some(count) = of_method.get_mut(row.method as usize).filter(|count| !is_distance && **count < TOP) {
            *count += 1;
            values.push(row.json());
        }
    }
    let row = json!({
        "connections": {"open": open, "recent": matched - open}, "alerts": alerts, "talkers": talkers, "values": values,
    });
    QueryAnswer { rows: vec![line(&row)], matched: 1, is_partial }
}
