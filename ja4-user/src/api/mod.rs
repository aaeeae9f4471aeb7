//! The HTTP server for monitoring: Prometheus, load balancers, dashboards, `curl`.
//!
//! The server is read-only: GET and HEAD, no CORS. Every client that can connect over TCP can read `/metrics` and
//! `/healthz`. The API needs a bearer token over TCP; over a Unix socket, its permissions decide.
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
//! `limit` is 100 by default and at most 1000. Errors have the body `{"error":"…"}`: 400 for invalid parameters, 401 and
//! 403 without access to the API, 404 for an unknown path, 405 for another method, 503 if the sensor cannot reply in time, and 421 for a `Host` that is not an
//! address, `localhost` or configured (protection against DNS rebinding).
//!
//! The number of connections, their duration and the size of a request head are bounded. A connection carries one request,
//! so that its time limit covers a client that stalls while sending or reading. If the server is full, the slowest
//! connection is evicted for a new one, so that a health probe is served at once. The server shares its thread with
//! signals and clocks; each step is short, and long responses are written in chunks.

mod access;
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

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::unistd::Group;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::access::{ApiAccess, Token};
use self::connections::{MAX_CONNECTIONS, OpenConnections};
use self::counters::HttpCounters;
pub use self::counters::HttpStats;
pub use self::error::HttpError;
use self::host::AllowedHosts;
pub use self::liveness::Liveness;
pub use self::settings::{HttpSettings, ListenAddress};
pub(crate) use self::state::MAX_REQUESTS;
pub use self::state::{ApiState, EngineClient, QueryError, SensorSnapshot, SnapshotRequest};
use crate::system::unix_socket::{self, BoundSocket, UnixSocketError};

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

/// A server with what it listens on.
#[derive(Debug, Default)]
pub struct HttpServer {
    tcp: Option<(TcpListener, SocketAddr)>,
    unix: Option<(UnixListener, PathBuf, BoundSocket)>,
    token: Option<Token>,
    counters: Arc<HttpCounters>,
    hosts: AllowedHosts,
}

/// A connection of a client.
enum HttpStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl HttpServer {
    /// Binds a port; connections wait until [`serve`](Self::serve) is called. Port 0 binds any free port.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn bind(address: SocketAddr) -> Result<Self, HttpError> {
        let failed = |reason| HttpError::new(address, reason);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self { tcp: Some((listener, bound)), ..Self::default() })
    }

    /// Listens on a Unix socket too, for the sensor's user and a group.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub(crate) fn with_socket(self, path: &Path, group: Option<&str>) -> Result<Self, HttpError> {
        let group = group.map(|name| match Group::from_name(name) {
            Ok(Some(group)) => Ok(group.gid),
            _ => Err(HttpError::Group(name.to_owned())),
        });
        let (listener, bound) = unix_socket::bind(path, group.transpose()?)?;
        Ok(Self { unix: Some((listener, path.to_owned(), bound)), ..self })
    }

    /// Serves the API over TCP to clients with the token in this file.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub(crate) fn with_token(self, path: &Path) -> Result<Self, HttpError> {
        let failed = |reason| HttpError::Token { path: path.to_owned(), reason };
        Ok(Self { token: Some(Token::read(path).map_err(failed)?), ..self })
    }

    /// Accepts these host names in addition to addresses and `localhost`.
    #[must_use]
    pub(crate) fn with_hosts(self, names: Vec<String>) -> Self {
        Self { hosts: AllowedHosts::new(names), ..self }
    }

    /// The bound address and the path of the socket.
    pub fn listens_on(&self) -> impl Iterator<Item = String> {
        let path = self.unix.as_ref().map(|(_, path, _)| path.display().to_string());
        self.address().map(|address| address.to_string()).into_iter().chain(path)
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|(_, address)| *address)
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
        let Self { tcp, unix, token, counters, hosts } = self;
        let access = token.map_or(ApiAccess::Off, ApiAccess::Token);
        let routers =
            [access, ApiAccess::Open].map(|access| routes::router(state.clone(), hosts.clone(), access, &counters));
        drop(state);
        let tcp = tcp.map(|(listener, address)| {
            tokio::net::TcpListener::from_std(listener).map_err(|reason| HttpError::new(address, reason))
        });
        let unix = unix.map(|(listener, path, bound)| {
            let failed = |source| UnixSocketError::Io { path, source };
            Ok::<_, HttpError>((tokio::net::UnixListener::from_std(listener).map_err(failed)?, bound))
        });
        let (tcp, unix) = (tcp.transpose()?, unix.transpose()?);
        let mut connections = OpenConnections::default();
        // A connection accepted while the server is full.
        let mut waiting = None;
        tokio::pin!(shutdown);
        loop {
            let evictable = connections.evictable_at().filter(|_| waiting.is_some());
            tokio::select! {
                () = &mut shutdown => break,
                () = connections.ended() => counters.set_open(connections.len()),
                accepted = accept(tcp.as_ref(), unix.as_ref().map(|(listener, _)| listener)), if waiting.is_none() => {
                    match accepted {
                        Ok(stream) => waiting = Some(stream),
                        Err(_) => sleep(PAUSE).await,
                    }
                }
                () = sleep_until(evictable.unwrap_or_else(Instant::now)), if evictable.is_some() => {
                    if connections.evict() {
                        counters.evicted();
                    }
                }
            }
            if let Some(stream) = waiting.take_if(|_| !connections.is_full()) {
                let ([with_token, open], counted) = (&routers, Arc::clone(&counters));
                match stream {
                    HttpStream::Tcp(stream) => {
                        connections.spawn(|flag| connection(stream, with_token.clone(), counted, flag));
                    }
                    HttpStream::Unix(stream) => {
                        connections.spawn(|flag| connection(stream, open.clone(), counted, flag));
                    }
                }
                counters.accepted(connections.len());
            }
        }
        drop((tcp, unix, routers, waiting));
        let _in_time = timeout(SHUTDOWN_GRACE, connections.all_ended()).await;
        connections.shutdown().await;
        counters.set_open(0);
        Ok(())
    }
}

/// Accepts the next connection.
async fn accept(
    tcp: Option<&tokio::net::TcpListener>,
    unix: Option<&tokio::net::UnixListener>,
) -> io::Result<HttpStream> {
    let of_tcp = async {
        match tcp {
            Some(listener) => Ok(HttpStream::Tcp(listener.accept().await?.0)),
            None => std::future::pending().await,
        }
    };
    let of_unix = async {
        match unix {
            Some(listener) => Ok(HttpStream::Unix(listener.accept().await?.0)),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        stream = of_tcp => stream,
        stream = of_unix => stream,
    }
}

/// Serves one request. The flag is set once the request head is complete.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    counters: Arc<HttpCounters>,
    is_requested: Arc<AtomicBool>,
) {
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
