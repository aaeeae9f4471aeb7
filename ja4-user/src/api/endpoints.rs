//! The endpoints of the JSON API.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Of};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::query::QueryParameters;
use super::response::{self, JsonList};
use super::state::ApiState;
use crate::encode::group_json;
use crate::model::{ConnectionSelection, CounterGroup, CounterValue, DisplayFilter, EngineQuery, RowSelection};

/// `connections?limit=&host=`
pub(super) async fn connections(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    let read = QueryParameters::read(query.as_deref(), &["limit", "host"]);
    list(&state, "connections", read, |asked| {
        let filter = asked.host.map(|host| Arc::new(DisplayFilter::of_host(host)));
        let rows = RowSelection { filter, descending: true, most: asked.limit, ..RowSelection::default() };
        EngineQuery::Connections(ConnectionSelection { rows, with_ended: false })
    })
    .await
}

/// `alerts?limit=`
pub(super) async fn alerts(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    let read = QueryParameters::read(query.as_deref(), &["limit"]);
    list(&state, "alerts", read, |asked| EngineQuery::Alerts { skip: 0, most: asked.limit }).await
}

/// `rules`
pub(super) async fn rules(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    list(&state, "rules", QueryParameters::read(query.as_deref(), &[]), |_| EngineQuery::Rules).await
}

async fn list(
    state: &ApiState,
    name: &str,
    read: Result<QueryParameters, String>,
    query: impl FnOnce(QueryParameters) -> EngineQuery,
) -> Response {
    match read {
        Ok(asked) => match state.list(query(asked)).await {
            Ok(list) => JsonList::new(name, list).into_response(),
            Err(error) => error.into_response(),
        },
        Err(message) => response::error(StatusCode::BAD_REQUEST, &message),
    }
}

/// `stats`
pub(super) async fn stats(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    from_stats(&state, query.as_deref(), |stats| {
        let mut members = CounterGroup::default();
        members.group("stats", stats);
        encode(br"", &members)
    })
    .await
}

/// `first-seen`
pub(super) async fn first_seen(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    from_stats(&state, query.as_deref(), |stats| {
        let engine = part(stats, "engine").unwrap_or_default();
        let counters = part(engine, "first_seen").unwrap_or_default();
        let CounterGroup(entries) = &counters;
        let left = entries.iter().find(|(name, _)| name == "learning_left_s");
        let learning = left.is_some_and(|(_, left)| *left != CounterValue::Count(0));
        let mut members = CounterGroup::default();
        members.group("first_seen", counters);
        encode(format!("\"learning\":{learning},").as_bytes(), &members)
    })
    .await
}

/// Encodes a JSON object with the members `first` and those of `group`.
fn encode(first: &[u8], group: &CounterGroup) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 << 10);
    group_json(group, &mut body);
    body.splice(1..1, first.iter().copied());
    body.push(b'\n');
    body
}

/// Returns the subgroup of a name.
fn part(CounterGroup(entries): CounterGroup, wanted: &str) -> Option<CounterGroup> {
    entries.into_iter().find_map(|(name, value)| match value {
        CounterValue::Group(group) if name == wanted => Some(group),
        _ => None,
    })
}

async fn from_stats(state: &ApiState, query: Option<&str>, body: impl FnOnce(CounterGroup) -> Vec<u8>) -> Response {
    if let Err(message) = QueryParameters::read(query, &[]) {
        return response::error(StatusCode::BAD_REQUEST, &message);
    }
    match state.snapshot().await {
        Ok(snapshot) => response::json(StatusCode::OK, body(snapshot.stats)),
        Err(error) => error.into_response(),
    }
}
