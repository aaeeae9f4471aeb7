//! The routes of the server.

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

use super::access::{self, ApiAccess};
use super::counters::HttpCounters;
use super::host::{self, AllowedHosts};
use super::state::ApiState;
use super::{endpoints, health, metrics, response};

/// Bytes of an unexpected request body that are read, so that a client that is still sending receives the error. A longer
/// body ends with a closed connection.
const MAX_BODY: usize = 64 << 10;

/// Timeout for reading the body.
const BODY_TIME: Duration = Duration::from_millis(500);

/// The paths, for error messages.
const PATHS: &str = "/metrics, /healthz and /api/v1/ with connections, alerts, stats, rules and first-seen";

/// The routes for clients with this access to the API.
pub(super) fn router(state: ApiState, hosts: AllowedHosts, access: ApiAccess, counters: &Arc<HttpCounters>) -> Router {
    let api = Router::new()
        .route("/api/v1/connections", get(endpoints::connections))
        .route("/api/v1/alerts", get(endpoints::alerts))
        .route("/api/v1/stats", get(endpoints::stats))
        .route("/api/v1/rules", get(endpoints::rules))
        .route("/api/v1/first-seen", get(endpoints::first_seen))
        .route_layer(from_fn_with_state(access, access::check));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .merge(api)
        .fallback(unknown)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(from_fn_with_state(hosts, host::check))
        .layer(map_response_with_state(Arc::clone(counters), finish))
}

async fn metrics(Of(state): Of<ApiState>) -> Response {
    match state.snapshot().await {
        Ok(snapshot) => {
            let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
            ([(CONTENT_TYPE, kind)], state.metrics.text(&snapshot.stats)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

async fn healthz(Of(state): Of<ApiState>) -> Response {
    let reasons = match state.snapshot().await {
        Ok(snapshot) => health::reasons(&snapshot),
        Err(error) => vec![error.to_string()],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response::json(status, health::body(&reasons))
}

async fn unknown(method: Method, uri: Uri, body: Body) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed(method, body).await;
    }
    let text = format!("unknown path '{}'; expected {PATHS}", response::printable(uri.path()));
    response::error(StatusCode::NOT_FOUND, &text)
}

async fn method_not_allowed(method: Method, body: Body) -> Response {
    let _read = timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await;
    let text = format!("method {} not allowed; use GET or HEAD", response::printable(method.as_str()));
    let mut response = response::error(StatusCode::METHOD_NOT_ALLOWED, &text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Adds the headers of every response: no caching, no content sniffing.
async fn finish(Of(counters): Of<Arc<HttpCounters>>, mut response: Response) -> Response {
    counters.count_response(response.status());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
