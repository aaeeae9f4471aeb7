//! The JSON API.

use axum::extract::{RawQuery, State as Of};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::query::QueryParameters;
use super::response::{self, JsonList};
use super::state::ApiState;
use crate::encode::group_json;
use crate::model::{CounterGroup, CounterValue, EngineQuery};

/// `connections?limit=&host=`
pub(super) async fn connections(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    let read = QueryParameters::read(query.as_deref(), &["limit", "host"]);
    list(&state, "connections", read, |asked| EngineQuery::Connections { most: asked.limit, host: asked.host }).await
}

/// `alerts?limit=`
pub(super) async fn alerts(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    let read = QueryParameters::read(query.as_deref(), &["limit"]);
    list(&state, "alerts", read, |asked| EngineQuery::Alerts { most: asked.limit }).await
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
            Err(unanswered) => unanswered.into_response(),
        },
        Err(wrong) => response::error(StatusCode::BAD_REQUEST, &wrong),
    }
}

/// `stats`
pub(super) async fn stats(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    told(&state, query.as_deref(), |stats| {
        let mut told = CounterGroup::default();
        told.group("stats", stats);
        told_as(br"", &told)
    })
    .await
}

/// `first-seen`
pub(super) async fn first_seen(Of(state): Of<ApiState>, RawQuery(query): RawQuery) -> Response {
    told(&state, query.as_deref(), |stats| {
        let engine = part(stats, "engine").unwrap_or_default();
        let counters = part(engine, "first_seen").unwrap_or_default();
        let CounterGroup(entries) = &counters;
        let left = entries.iter().find(|(name, _)| name == "learning_left_s");
        let learning = left.is_some_and(|(_, left)| *left != CounterValue::Count(0));
        let mut told = CounterGroup::default();
        told.group("first_seen", counters);
        told_as(format!("\"learning\":{learning},").as_bytes(), &told)
    })
    .await
}

/// A JSON object of what `told` has, behind `first`.
fn told_as(first: &[u8], told: &CounterGroup) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 << 10);
    group_json(told, &mut body);
    body.splice(1..1, first.iter().copied());
    body.push(b'\n');
    body
}

/// The group of a name.
fn part(CounterGroup(entries): CounterGroup, wanted: &str) -> Option<CounterGroup> {
    entries.into_iter().find_map(|(name, value)| match value {
        CounterValue::Group(group) if name == wanted => Some(group),
        _ => None,
    })
}

async fn told(state: &ApiState, query: Option<&str>, tell: impl FnOnce(CounterGroup) -> Vec<u8>) -> Response {
    if let Err(wrong) = QueryParameters::read(query, &[]) {
        return response::error(StatusCode::BAD_REQUEST, &wrong);
    }
    match state.snapshot().await {
        Ok(snapshot) => response::json(StatusCode::OK, tell(snapshot.stats)),
        Err(unanswered) => unanswered.into_response(),
    }
}
