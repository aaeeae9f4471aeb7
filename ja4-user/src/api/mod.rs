//! The HTTP server for monitoring: Prometheus, load balancers, dashboards, `curl`.
//!
//! The server is read-only: GET and HEAD, no CORS. Every client that can connect can read, so it belongs on loopback or
//! behind a proxy with authentication.
//!
//! | path | response |
//! |---|---|
//! | `/metrics` | the numbers of the `stats` event for Prometheus: [`metrics`] |
//! | `/healthz` | 200 `{"status":"ok"}`, or 503 `{"status":"failing","reasons":["…"]}`: [`health`] |
//! | `/api/v1/connections?limit=&host=` | `{"connections":[…]}`, open connections as `connection` events, most recently used first |
//! | `/api/v1/alerts?limit=` | `{"alerts":[…]}`, recent alerts as `alert` events, newest first |
//! | `/api/v1/stats` | `{"stats":{…}}`, the current content of the `stats` event |
//! | `/api/v1/rules` | `{"rules":[…]}`, the active rules with their counters |
//! | `/api/v1/first-seen` | `{"learning":true,"first_seen":{"learning_left_s":…,…}}` |
//!
//! `limit` is 100 by default and at most 1000. Errors have the body `{"error":"…"}`: 400 for invalid parameters, 404 for an
//! unknown path, 405 for another method, 503 if the sensor cannot reply in time, and 421 for a `Host` that is not an
//! address, `localhost` or configured (protection against DNS rebinding).
//!
//! The number of connections, their duration and the size of a request head are bounded. A connection carries one request,
//! so that its time limit covers a client that stalls while sending or reading. If the server is full, the slowest
//! connection is evicted for a new one, so that a health probe is served at once. The server shares its thread with
//! signals and clocks; each step is short, and long responses are written in chunks.

mod connections;
mod counters;
mod endpoints;
mod error;
pub mod health;
mod host;
mod liveness;
pub mod metrics;
mod query;
mod response;
mod routes;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::connections::{MAX_CONNECTIONS, OpenConnections};
use self::counters::HttpCounters;
pub use self::counters::HttpStats;
pub use self::error::HttpError;
use self::host::AllowedHosts;
pub use self::liveness::Liveness;
pub use self::settings::{HttpSettings, ListenAddress};
pub use self::state::{ApiState, EngineClient, QueryError, SensorSnapshot, SnapshotRequest};

/// Time limit of a request head.
const HEAD_TIME: Duration = Duration::from_secs(3);

/// Time limit of a connection, to the last byte of the response.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Most bytes of a request head.
const MAX_HEAD: usize = 16 << 10;

/// Most header fields of a request.
const MAX_HEADERS: usize = 64;

/// Pause after a failed accept: no file descriptor may be left.
const PAUSE: Duration = Duration::from_millis(100);

/// Time for responses in progress when the sensor stops.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// A server with a bound port.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    counters: Arc<HttpCounters>,
    hosts: AllowedHosts,
}

impl HttpServer {
    /// Binds the port; connections wait until [`serve`](Self::serve) is called. Port 0 binds any free port.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn bind(address: SocketAddr) -> Result<Self, HttpError> {
        let failed = |reason| HttpError::new(address, reason);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address: bound, counters: Arc::default(), hosts: AllowedHosts::default() })
    }

    /// Accepts these host names in addition to addresses and `localhost`.
    #[must_use]
    pub(crate) fn with_hosts(self, names: Vec<String>) -> Self {
        Self { hosts: AllowedHosts::new(names), ..self }
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a function that reads the counters of the server.
    pub fn stats(&self) -> impl Fn() -> HttpStats + Send + Sync + 'static {
        let counters = Arc::clone(&self.counters);
        move || counters.stats()
    }

    /// Serves until `shutdown` resolves; responses in progress then have half a second. When it returns, no sender to the
    /// engine is left.
    ///
    /// # Errors
    /// If the listener cannot be registered: no file descriptor is left, or there is no runtime.
    pub async fn serve(self, state: ApiState, shutdown: impl Future<Output = ()>) -> Result<(), HttpError> {
        let Self { listener, address, counters, hosts } = self;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|reason| HttpError::new(address, reason))?;
        let router = routes::router(state, hosts, &counters);
        let mut connections = OpenConnections::default();
        // A connection accepted while the server is full.
        let mut waiting = None;
        tokio::pin!(shutdown);
        loop {
            let evictable = connections.evictable_at().filter(|_| waiting.is_some());
            tokio::select! {
                () = &mut shutdown => break,
                () = connections.ended() => counters.set_open(connections.len()),
                accepted = listener.accept(), if waiting.is_none() => match accepted {
                    Ok((stream, _)) => waiting = Some(stream),
                    Err(_) => sleep(PAUSE).await,
                },
                () = sleep_until(evictable.unwrap_or_else(Instant::now)), if evictable.is_some() => {
                    if connections.evict() {
                        counters.evicted();
                    }
                }
            }
            if let Some(stream) = waiting.take_if(|_| !connections.is_full()) {
                let (router, counted) = (router.clone(), Arc::clone(&counters));
                connections.spawn(|is_requested| connection(stream, router, counted, is_requested));
                counters.accepted(connections.len());
            }
        }
        drop((listener, router, waiting));
        let _in_time = timeout(SHUTDOWN_GRACE, connections.all_ended()).await;
        connections.shutdown().await;
        counters.set_open(0);
        Ok(())
    }
}

/// Serves one request. The flag is set once the request head is complete.
async fn connection(stream: TcpStream, router: Router, counters: Arc<HttpCounters>, is_requested: Arc<AtomicBool>) {
    let mut http = http1::Builder::new();
    http.keep_alive(false)
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        is_requested.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let serving = http.serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if !error.is_timeout() => counters.broken(),
        Ok(Err(_)) | Err(_) => counters.timed_out(),
    }
}
