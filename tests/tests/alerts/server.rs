//! An HTTP server with scripted responses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate::Certificates;

/// Response of the server to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends nothing for this duration, then closes the connection.
    Stall(Duration),
    /// Sends these bytes repeatedly until a write fails.
    Forever(Vec<u8>),
}

pub(crate) fn status(status: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes())
}

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Index of the connection, from 0.
    pub(crate) connection: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

type ReplyScript = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

/// A server on this host; its threads end with the process.
pub(crate) struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server. `script` returns the reply for the index of a request, from 0.
    pub(crate) fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(script), None)
    }

    /// Starts the same server with TLS.
    pub(crate) fn tls(certificates: &Certificates, script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let leaf = CertificateDer::from_pem_file(certificates.path("leaf.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.path("leaf.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![leaf], key).unwrap();
        Self::serve(Arc::new(script), Some(Arc::new(config)))
    }

    fn serve(script: ReplyScript, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (stream, script, received, tls) =
                    (stream.unwrap(), Arc::clone(&script), Arc::clone(&received), tls.clone());
                thread::spawn(move || match tls {
                    None => serve_connection(stream, connection, &script, &received),
                    Some(tls) => {
                        let tls = ServerConnection::new(tls).unwrap();
                        serve_connection(StreamOwned::new(tls, stream), connection, &script, &received);
                    }
                });
            }
        });
        Self { port, requests }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/hook/secret-path", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Returns a TCP port of this host without a listener.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns whether a port accepts connections.
pub(crate) fn is_served(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn serve_connection(
    stream: impl Read + Write,
    connection: usize,
    script: &ReplyScript,
    received: &Mutex<Vec<Request>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream, connection) {
        let number = {
            let mut received = received.lock().unwrap();
            received.push(request);
            received.len() - 1
        };
        match script(number) {
            Reply::Bytes(bytes) => {
                if stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush()).is_err() {
                    return;
                }
            }
            Reply::Close(bytes) => {
                stream.get_mut().write_all(&bytes).ok();
                return;
            }
            Reply::Stall(time) => return thread::sleep(time),
            Reply::Forever(bytes) => while stream.get_mut().write_all(&bytes).is_ok() {},
        }
    }
}

fn read_request(stream: &mut impl BufRead, connection: usize) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    });
    let mut request = Request { at: Instant::now(), line, headers: headers.collect(), body: Vec::new(), connection };
    request.body = vec![0; request.header("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
