//! `ja4sensor run --http`: the responses for a scraper, a load balancer and an analyst, and robustness against clients
//! that misbehave.
mod access;
mod hostile_clients;
mod lifetime;
mod metrics;
mod prometheus;
mod requests;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::process::until;
use tests::{Namespace, RunningSensor, Sensor, Wire, events, log, require_bpf, require_tools, stats_u64};

/// Timeout of any wait. Most operations finish within milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// Returns a lock if the test can run. Tests run one at a time, because some use all available connections.
fn exclusive() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&["ip", "ethtool", "curl"]))
        .then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A sensor on the server's end of a wire, with its HTTP server on that host's loopback interface.
struct HttpSensor {
    wire: Wire,
    sensor: RunningSensor,
    address: SocketAddr,
    /// Configuration and token.
    folder: TempDir,
}

/// The token of the API.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A parsed HTTP response.
#[derive(Debug)]
struct HttpResponse {
    status: u16,
    head: String,
    body: String,
}

impl HttpSensor {
    fn start() -> Self {
        Self::with("", &[])
    }

    /// Starts a sensor with further keys of the section `[http]` and the sections after it, and environment variables.
    fn with(config: &str, environment: &[(&str, &str)]) -> Self {
        let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let file = write_config(&folder, config);
        let host = wire.server();
        let config = file.to_str().unwrap();
        let run = ["run", "-i", host.interface(), "--http", "127.0.0.1:0", "--stats-interval", "1", "--config", config];
        let mut command = Sensor::new().command(&run);
        command.envs(environment.iter().copied());
        let sensor = RunningSensor::spawn(host.enter(&command));
        let mut address = None;
        let serves = until(SOON, || {
            let stderr = sensor.stderr();
            address = log::http_address(&stderr);
            address.is_some()
        });
        assert!(serves, "{}", sensor.stderr());
        Self { address: address.unwrap(), wire, sensor, folder }
    }

    /// Replaces the configuration, except for the token.
    fn configure(&self, config: &str) {
        write_config(&self.folder, config);
    }

    fn host(&self) -> &Namespace {
        self.wire.server()
    }

    /// Connects to the server. A socket stays in the namespace in which it was created.
    fn connect(&self) -> TcpStream {
        self.host().with(|| TcpStream::connect(self.address).unwrap())
    }

    /// Sends bytes unchanged and returns the complete response.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request).unwrap();
        read(stream)
    }

    fn request(&self, method: &str, path: &str) -> HttpResponse {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        HttpResponse::of(&self.raw(head.as_bytes()))
    }

    /// Returns the JSON body of a path. The status must be 200.
    fn json(&self, path: &str) -> Value {
        let response = self.request("GET", path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response.json()
    }

    /// Opens TCP connections from the other host. They close when dropped.
    fn open(&self, count: usize) -> Vec<(TcpStream, TcpStream)> {
        let listener = self.host().with(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let to = SocketAddr::new(self.host().v4(), listener.local_addr().unwrap().port());
        let connect = || {
            let client = self.wire.client().with(|| TcpStream::connect(to).unwrap());
            (client, listener.accept().unwrap().0)
        };
        (0..count).map(|_| connect()).collect()
    }

    /// Waits until the API lists at least this many connections.
    fn wait_connections(&self, count: usize) -> Value {
        let mut list = Value::Null;
        let listed = until(SOON, || {
            list = self.json("/api/v1/connections?limit=1000");
            list["connections"].as_array().unwrap().len() >= count
        });
        assert!(listed, "{list:#}\n{}", self.sensor.stderr());
        list
    }
}

/// Writes the configuration with further keys of `[http]` and the sections after it.
fn write_config(folder: &TempDir, config: &str) -> PathBuf {
    let file = folder.path().join("sensor.toml");
    fs::write(&file, format!("[http]\ntoken_file = \"token\"\n{config}")).unwrap();
    file
}

/// Reads a stream until it ends or fails.
fn read(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    stream.read_to_end(&mut response).ok();
    String::from_utf8(response).unwrap()
}

impl HttpResponse {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn json(&self) -> Value {
        assert!(self.head.contains("\r\ncontent-type: application/json\r\n"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
