//! The HTTP server of a sensor.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::api::metrics::MetricTable;
use crate::api::{ApiState, EngineClient, HttpError, HttpServer, HttpStats, SnapshotRequest};
use crate::api::{HttpSettings, ListenAddress};
use crate::cli::failure::Failure;
use crate::runtime::sensor_stats;

/// The task of a server.
pub(super) type ServerTask = JoinHandle<Result<(), HttpError>>;

/// A running HTTP server.
pub(super) struct HttpTask {
    stats: Box<dyn Fn() -> HttpStats + Send>,
    running: Option<(oneshot::Sender<()>, ServerTask)>,
}

impl HttpTask {
    /// Starts serving.
    pub(super) fn start(server: HttpServer, client: EngineClient, control: mpsc::Sender<SnapshotRequest>) -> Self {
        let state = ApiState::new(client, control, MetricTable::new(sensor_stats::declarations()));
        let (end, ended) = oneshot::channel();
        let stats = Box::new(server.stats());
        let task = tokio::spawn(server.serve(state, async {
            let _ended = ended.await;
        }));
        Self { stats, running: Some((end, task)) }
    }

    /// Stops the server and returns its task, which holds no sender to the engine once it has ended.
    pub(super) fn end(&mut self) -> Option<ServerTask> {
        let (end, task) = self.running.take()?;
        let _stopped = end.send(());
        Some(task)
    }

    /// Returns the counters, even after the server has ended.
    pub(super) fn stats(&self) -> HttpStats {
        (self.stats)()
    }
}

/// Binds port and socket. If the default address is in use, the sensor runs without HTTP over TCP.
pub(in super::super) fn bind(http: &HttpSettings) -> Result<Option<HttpServer>, Failure> {
    let HttpSettings { listen, hosts, token_file, socket, socket_group } = http;
    let mut server = None;
    if let Some(address) = listen.address() {
        match HttpServer::bind(address) {
            Ok(bound) => server = Some(bound),
            Err(error) if !listen.is_configured() => {
                tracing::warn!("{error} with --http or http.listen; the sensor continues without HTTP");
            }
            Err(error) => return Err(failure(error)),
        }
    }
    if let Some(path) = socket {
        let with_socket = server.unwrap_or_default().with_socket(path, socket_group.as_deref());
        server = Some(with_socket.map_err(failure)?);
    }
    let Some(mut server) = server else { return Ok(None) };
    if let Some(path) = token_file {
        server = server.with_token(path).map_err(failure)?;
    }
    Ok(Some(server.with_hosts(hosts.clone())))
}

fn failure(error: HttpError) -> Failure {
    match error {
        HttpError::Privilege(_) => Failure::system(error),
        HttpError::NotHere(_) | HttpError::Group(_) | HttpError::Token { .. } => Failure::usage(error),
        _ => Failure::run(error),
    }
}

/// Parses `--http`.
pub(super) fn listen(text: &str) -> Result<ListenAddress, String> {
    let expected = "expected an address and port such as 127.0.0.1:9418 or [::1]:9418, a port, or off";
    text.parse().map_err(|_| expected.to_owned())
}
