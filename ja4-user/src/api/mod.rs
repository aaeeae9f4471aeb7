//! An HTTP server for those who watch the sensor: Prometheus, load balancers, dashboards, `curl`.
//!
//! It only tells: GET and HEAD, no CORS, and nothing that changes the sensor. Whoever can connect can read, so it
//! belongs on loopback or behind something that asks who is there.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | every number of the `stats` event, for Prometheus: [`metrics`] |
//! | `/healthz` | 200 `{"status":"ok"}`, or 503 `{"status":"failing","reasons":["…"]}`: [`health`] |
//! | `/api/v1/connections?limit=&host=` | `{"connections":[…]}`, open ones as `connection` events, the one heard of last first |
//! | `/api/v1/alerts?limit=` | `{"alerts":[…]}`, as `alert` events, the newest first |
//! | `/api/v1/stats` | `{"stats":{…}}`, the content of the `stats` event as of now |
//! | `/api/v1/rules` | `{"rules":[…]}`, those in force with what they have done: [`crate::runtime::engine::active_rules`] |
//! | `/api/v1/first-seen` | `{"learning":true,"first_seen":{"learning_left_s":…,…}}` |
//!
//! `limit` is 100 if left out, and at most 1000. What is asked wrongly gets 400, what there is not 404, another method
//! 405, and what the sensor cannot say just now 503, each with `{"error":"…"}`. So has a `Host` that is neither an
//! address nor `localhost` nor configured: it gets 421, lest a page in somebody's browser read the sensor by a name of
//! its own that leads here.
//!
//! Everything is bounded: connections at once, the time of each, bytes of a request's head. A connection carries one
//! request, so that its time limit is also the request's, whether the client stalls in asking or in reading. Where all
//! places are taken, the slowest connection is evicted for a new one, so that a health probe is answered at once. The
//! server shares its thread with signals and clocks; what it does at one go is small, and long answers go out in
//! pieces.

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
pub use self::state::{ApiState, EngineClient, QueryError, SensorSnapshot, SnapshotRequest};

/// Time for a request's head.
const HEAD_TIME: Duration = Duration::from_secs(3);

/// Time for a connection, from its first byte to the last of the answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;

/// Lines of a request's head.
const MAX_HEADERS: usize = 64;

/// Pause when a connection cannot be taken: there may be no file descriptor left for it.
const PAUSE: Duration = Duration::from_millis(100);

/// How long answers may go on when the sensor ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// A server that has its port.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    counters: Arc<HttpCounters>,
    hosts: AllowedHosts,
}

impl HttpServer {
    /// Takes the port; connections wait until [`serve`](Self::serve) is called. Port 0 takes any that is free.
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

    /// Answers to these names too, beside addresses and `localhost`.
    #[must_use]
    pub fn with_hosts(self, names: Vec<String>) -> Self {
        Self { hosts: AllowedHosts::new(names), ..self }
    }

    /// The address, with the port that was taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A way to the server's own counters, for the `stats` event.
    pub fn stats(&self) -> impl Fn() -> HttpStats + Send + Sync + 'static {
        let counters = Arc::clone(&self.counters);
        move || counters.stats()
    }

    /// Serves until `shutdown` resolves; what is being answered then has half a second left. When it returns, nothing
    /// holds a way to the engine any more.
    ///
    /// # Errors
    /// The listener cannot be watched, as there is no file descriptor left, or no runtime.
    pub async fn serve(self, state: ApiState, shutdown: impl Future<Output = ()>) -> Result<(), HttpError> {
        let Self { listener, address, counters, hosts } = self;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|reason| HttpError::new(address, reason))?;
        let router = routes::router(state, hosts, &counters);
        let mut connections = OpenConnections::default();
        // Accepted while the server is full.
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
                connections.spawn(|is_asked| connection(stream, router, counted, is_asked));
                counters.accepted(connections.len());
            }
        }
        drop((listener, router, waiting));
        let _in_time = timeout(FAREWELL, connections.all_ended()).await;
        connections.shutdown().await;
        counters.set_open(0);
        Ok(())
    }
}

/// One request and its answer. The flag is set once the request's head is complete.
async fn connection(stream: TcpStream, router: Router, counters: Arc<HttpCounters>, is_asked: Arc<AtomicBool>) {
    let mut http = http1::Builder::new();
    http.keep_alive(false)
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        is_asked.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let serving = http.serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if !error.is_timeout() => counters.broken(),
        Ok(Err(_)) | Err(_) => counters.timed_out(),
    }
}
