//! Which path is answered by whom.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State as Of;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::timeout;

use super::counters::HttpCounters;
use super::host::{self, AllowedHosts};
use super::state::ApiState;
use super::{endpoints, health, metrics, response};

/// Bytes of a body that nobody wants, read so that a client that is still sending hears why. Where there are more, the
/// connection is closed on it.
const MAX_BODY: usize = 64 << 10;

/// How long is waited for them.
const BODY_TIME: Duration = Duration::from_millis(500);

/// The paths, as an error names them.
const PATHS: &str = "/metrics, /healthz and /api/v1/ with connections, alerts, stats, rules and first-seen";

pub(super) fn router(state: ApiState, hosts: AllowedHosts, counters: &Arc<HttpCounters>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/api/v1/connections", get(endpoints::connections))
        .route("/api/v1/alerts", get(endpoints::alerts))
        .route("/api/v1/stats", get(endpoints::stats))
        .route("/api/v1/rules", get(endpoints::rules))
        .route("/api/v1/first-seen", get(endpoints::first_seen))
        .fallback(unknown)
        .method_not_allowed_fallback(refused)
        .with_state(state)
        .layer(from_fn_with_state(hosts, host::check))
        .layer(map_response_with_state(Arc::clone(counters), finish))
}

async fn metrics(Of(state): Of<ApiState>) -> Response {
    match state.snapshot().await {
        Ok(snapshot) => {
            let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
            ([(CONTENT_TYPE, kind)], metrics::text(&snapshot.stats)).into_response()
        }
        Err(unanswered) => unanswered.into_response(),
    }
}

async fn healthz(Of(state): Of<ApiState>) -> Response {
    let reasons = match state.snapshot().await {
        Ok(snapshot) => health::reasons(&snapshot),
        Err(unanswered) => vec![unanswered.to_string()],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response::json(status, health::body(&reasons))
}

async fn unknown(method: Method, uri: Uri, body: Body) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return refused(method, body).await;
    }
    let text = format!("there is nothing at '{}'; there are {PATHS}", response::words(uri.path()));
    response::error(StatusCode::NOT_FOUND, &text)
}

async fn refused(method: Method, body: Body) -> Response {
    let _read = timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await;
    let text =
        format!("{} is not served; the sensor can only be read, with GET or HEAD", response::words(method.as_str()));
    let mut response = response::error(StatusCode::METHOD_NOT_ALLOWED, &text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// What every answer has in common: it is of this moment, and what it says it is.
async fn finish(Of(counters): Of<Arc<HttpCounters>>, mut response: Response) -> Response {
    counters.answered(response.status());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
