//! The remote lookup against HTTP servers on loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use super::*;
use crate::units::HumanDuration;

const CURL: &str = r#"[{"application":"curl","ja4_fingerprint":null}]"#;
const LONG: Duration = Duration::from_secs(20);

impl Remote {
    /// Looks a value up and waits for the answer. `Unknown` if there is none within `limit`.
    fn lookup_blocking(&mut self, method: Method, value: &str, limit: Duration) -> RemoteAnswer {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = self.lookup(method, value) {
                return answer;
            }
            match self.replies.recv_deadline(deadline) {
                Ok(reply) => drop(self.cache_reply(reply)),
                Err(_) => return RemoteAnswer::Unknown,
            }
        }
    }
}

/// What a server does with a request.
enum ServerAction {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes, then a byte every 50 ms while the client reads.
    Drip(Vec<u8>),
    /// Sends nothing until the server is dropped.
    Stall,
}

type Script = Box<dyn Fn() -> ServerAction + Send + Sync>;

struct LookupServer {
    address: String,
    requested: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl LookupServer {
    fn new(does: impl Fn(&str) -> ServerAction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (requested, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (does, log, end) = (Arc::new(does), Arc::clone(&requested), Arc::clone(&over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (does, log, end) = (Arc::clone(&does), Arc::clone(&log), Arc::clone(&end));
                thread::spawn(move || answer(stream.unwrap(), &*does, &log, &end));
            }
        });
        Self { address, requested, over }
    }

    /// Returns a server that answers with this status and body.
    fn answering(status: &'static str, body: &'static str) -> Self {
        Self::new(move |_| response(status, body))
    }

    fn settings(&self) -> RemoteSettings {
        let endpoint = format!("{}/read/", self.address);
        RemoteSettings {
            enabled: true,
            endpoint,
            timeout: HumanDuration(Duration::from_millis(500)),
            ..RemoteSettings::default()
        }
    }

    fn remote(&self) -> Remote {
        Remote::start(self.settings()).unwrap()
    }

    /// The requested paths.
    fn requested(&self) -> Vec<String> {
        self.requested.lock().unwrap().clone()
    }
}

impl Drop for LookupServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn response(status: &str, body: &str) -> ServerAction {
    ServerAction::Send(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn answer(
    mut stream: TcpStream,
    does: &(impl Fn(&str) -> ServerAction + ?Sized),
    asked: &Mutex<Vec<String>>,
    over: &AtomicBool,
) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    assert!(request.starts_with("GET ") && request.contains("user-agent: ja4sensor/"), "{request}");
    asked.lock().unwrap().push(path.clone());
    match does(&path) {
        ServerAction::Send(bytes) => drop(stream.write_all(&bytes)),
        ServerAction::Drip(bytes) => {
            let mut open = stream.write_all(&bytes).is_ok();
            while open && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                open = stream.write_all(b" ").is_ok();
            }
        }
        ServerAction::Stall => {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Drains answers until `enough`.
fn settle(remote: &mut Remote, enough: impl Fn(&RemoteStats) -> bool) -> Vec<RemoteLabel> {
    let (start, mut found) = (Instant::now(), Vec::new());
    while !enough(&remote.stats()) {
        assert!(start.elapsed() < LONG, "{:?}", remote.stats());
        match remote.drain() {
            Some(answer) => found.push(answer),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
    found.extend(std::iter::from_fn(|| remote.drain()));
    found
}

fn name(answer: &RemoteAnswer) -> Option<&str> {
    match answer {
        RemoteAnswer::Known(label) => Some(&label.name),
        RemoteAnswer::Unknown => None,
    }
}

#[test]
fn an_answer_is_returned_once_and_cached() {
    let server = LookupServer::answering("200 OK", CURL);
    let mut remote = server.remote();
    assert_eq!(remote.lookup(Method::Ja4, "t13,x"), None);
    assert_eq!(remote.lookup(Method::Ja4, "t13,x"), None); // pending
    let found = settle(&mut remote, |stats| stats.hits == 1);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].method, &*found[0].value, &*found[0].label.name), (Method::Ja4, "t13,x", "curl"));
    assert_eq!(&*found[0].label.source, "127.0.0.1");
    for _ in 0..5 {
        assert_eq!(name(&remote.lookup(Method::Ja4, "t13,x").unwrap()), Some("curl"));
    }
    let stats = remote.stats();
    assert_eq!((stats.requested, stats.queued, stats.joined, stats.cached), (1, 1, 1, 5));
    assert_eq!(server.requested(), ["/read/t13%2Cx"]);
    assert_eq!(remote.lookup(Method::Ja4ssh, "c36s36"), None); // not one of its methods
    assert_eq!(remote.lookup(Method::Ja4t, &"2-".repeat(1000)), Some(RemoteAnswer::Unknown));
    assert_eq!((remote.stats().requested, remote.stats().unsupported), (1, 1));
}

#[test]
fn a_miss_is_cached_for_a_shorter_time() {
    for (status, body) in [("404 Not Found", "no"), ("200 OK", "[]"), ("204 No Content", "")] {
        let server = LookupServer::answering(status, body);
        let settings = RemoteSettings { miss_age: HumanDuration(Duration::from_millis(100)), ..server.settings() };
        let mut remote = Remote::start(settings).unwrap();
        assert_eq!(remote.lookup_blocking(Method::Ja4, "a", LONG), RemoteAnswer::Unknown);
        assert_eq!(remote.lookup(Method::Ja4, "a"), Some(RemoteAnswer::Unknown));
        thread::sleep(Duration::from_millis(120));
        assert_eq!(remote.lookup_blocking(Method::Ja4, "a", LONG), RemoteAnswer::Unknown);
        let stats = remote.stats();
        assert_eq!((stats.misses, stats.failed, server.requested().len()), (2, 0, 2), "{status}");
    }
}

#[test]
fn failures_are_counted() {
    let huge = || format!("[{{\"application\":\"{}\"}}]", "a".repeat(2 << 20));
    let failing: [(&str, Script); 9] = [
        ("stalls", Box::new(|| ServerAction::Stall)),
        ("drips", Box::new(|| ServerAction::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n[".to_vec()))),
        ("drips its header", Box::new(|| ServerAction::Drip(b"HTTP/1.1 200 OK\r\nx:".to_vec()))),
        ("500", Box::new(|| response("500 Internal LookupServer Error", CURL))),
        ("429", Box::new(|| response("429 Too Many Requests", CURL))),
        ("garbage", Box::new(|| ServerAction::Send(vec![0xff; 5000]))),
        ("no JSON", Box::new(|| response("200 OK", "<html>sorry</html>"))),
        ("too long", Box::new(move || response("200 OK", &huge()))),
        ("cut", Box::new(|| ServerAction::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[".to_vec()))),
    ];
    for (what, does) in failing {
        let server = LookupServer::new(move |_| does());
        let mut remote = server.remote();
        let start = Instant::now();
        assert_eq!(remote.lookup(Method::Ja4, "a"), None);
        assert!(start.elapsed() < Duration::from_millis(200), "lookup waits: {what}");
        assert_eq!(settle(&mut remote, |stats| stats.failed == 1), [], "{what}");
        assert!(start.elapsed() < Duration::from_secs(3), "{what}: {:?}", start.elapsed());
        assert_eq!(remote.lookup(Method::Ja4, "a"), Some(RemoteAnswer::Unknown), "{what}");
    }
}

#[test]
fn a_refused_connection_is_a_failure() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = RemoteSettings { endpoint: format!("http://{address}/"), ..RemoteSettings::default() };
    let mut remote = Remote::start(settings).unwrap();
    assert_eq!(remote.lookup_blocking(Method::Ja4, "a", LONG), RemoteAnswer::Unknown);
    assert_eq!(remote.stats().failed, 1);
}

#[test]
fn redirects_are_followed_on_the_same_host_only() {
    let redirect = |to: &str| {
        ServerAction::Send(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    };
    let port = Arc::new(AtomicU16::new(0));
    let own = Arc::clone(&port);
    let server = LookupServer::new(move |path| match path {
        "/read/path" => redirect("/other"),
        // On Linux, 0.0.0.0 is this host but not a loopback address: the server could be reached.
        "/read/off" => redirect(&format!("http://0.0.0.0:{}/reached", own.load(Ordering::Relaxed))),
        // The same host by another name is another host.
        "/read/name" => redirect(&format!("http://localhost:{}/reached", own.load(Ordering::Relaxed))),
        "/read/loop" => redirect("/read/loop"),
        "/read/file" => redirect("file:///etc/passwd"),
        _ => response("200 OK", CURL),
    });
    port.store(server.address.rsplit(':').next().unwrap().parse().unwrap(), Ordering::Relaxed);
    let mut remote = server.remote();
    assert_eq!(name(&remote.lookup_blocking(Method::Ja4, "path", LONG)), Some("curl"));
    for value in ["off", "name", "loop", "file"] {
        assert_eq!(remote.lookup_blocking(Method::Ja4, value, LONG), RemoteAnswer::Unknown, "{value}");
    }
    assert!(!server.requested().iter().any(|path| path == "/reached"));
    assert_eq!((remote.stats().hits, remote.stats().failed), (1, 4));
    let loops = server.requested().iter().filter(|path| *path == "/read/loop").count();
    assert_eq!(loops, 4);
}

#[test]
fn a_failing_server_gets_no_requests_until_a_probe_succeeds() {
    let well = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&well);
    let server = LookupServer::new(move |_| match health.load(Ordering::Relaxed) {
        true => response("200 OK", CURL),
        false => response("503 Service Unavailable", ""),
    });
    let reset = Duration::from_millis(400);
    let mut remote =
        Remote::start(RemoteSettings { breaker_reset: HumanDuration(reset), ..server.settings() }).unwrap();
    for number in 0..20 {
        remote.lookup(Method::Ja4, &format!("first {number}"));
    }
    settle(&mut remote, |stats| stats.failed + stats.refused == 20);
    let stats = remote.stats();
    assert_eq!((stats.failed, stats.refused, stats.breaker_opened, stats.breaker_open), (5, 15, 1, true));
    assert_eq!(server.requested().len(), 5);

    thread::sleep(reset);
    assert_eq!(remote.lookup_blocking(Method::Ja4, "probe", LONG), RemoteAnswer::Unknown);
    assert_eq!(remote.lookup_blocking(Method::Ja4, "refused", LONG), RemoteAnswer::Unknown);
    let stats = remote.stats();
    assert_eq!((stats.failed, stats.refused, stats.breaker_opened, server.requested().len()), (6, 16, 2, 6));

    well.store(true, Ordering::Relaxed);
    thread::sleep(reset);
    assert_eq!(name(&remote.lookup_blocking(Method::Ja4, "probe", LONG)), Some("curl")); // requested again after the reset
    assert_eq!(name(&remote.lookup_blocking(Method::Ja4, "next", LONG)), Some("curl"));
    assert!(!remote.stats().breaker_open);
}

#[test]
fn the_queue_is_bounded_and_lookups_never_wait() {
    let server = LookupServer::new(|_| ServerAction::Stall);
    let mut remote = Remote::start(RemoteSettings { queue: 10, ..server.settings() }).unwrap();
    let start = Instant::now();
    for number in 0..10_000 {
        assert_eq!(remote.lookup(Method::Ja4, &format!("{number}")), None);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let stats = remote.stats();
    assert_eq!((stats.requested, stats.queued + stats.dropped), (10_000, 10_000));
    assert!((10..=12).contains(&stats.queued), "{stats:?}");
    let queued = stats.queued;
    settle(&mut remote, |stats| stats.failed + stats.refused == queued);
}

#[test]
fn the_least_recently_used_entry_is_evicted() {
    let server = LookupServer::answering("200 OK", CURL);
    let mut remote = Remote::start(RemoteSettings { cache: 3, ..server.settings() }).unwrap();
    for value in ["a", "b", "c", "a", "d"] {
        assert_eq!(name(&remote.lookup_blocking(Method::Ja4, value, LONG)), Some("curl"));
    }
    assert_eq!((remote.cached(), remote.stats().evicted), (3, 1));
    assert!(remote.lookup(Method::Ja4, "a").is_some());
    assert!(remote.lookup(Method::Ja4, "b").is_none());
}
