//! Against HTTP servers on loopback, made of plain sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use super::*;
use crate::units::Span;

const CURL: &str = r#"[{"application":"curl","ja4_fingerprint":null}]"#;
const LONG: Duration = Duration::from_secs(20);

/// What a server does with the request for a path.
enum Does {
    /// Sends these bytes and closes.
    Says(Vec<u8>),
    /// Sends them, and then a byte every 50 ms as long as anybody listens.
    Drips(Vec<u8>),
    /// Says nothing until the server is dropped.
    Stalls,
}

type Script = Box<dyn Fn() -> Does + Send + Sync>;

struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    fn new(does: impl Fn(&str) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (does, log, end) = (Arc::new(does), Arc::clone(&asked), Arc::clone(&over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (does, log, end) = (Arc::clone(&does), Arc::clone(&log), Arc::clone(&end));
                thread::spawn(move || answer(stream.unwrap(), &*does, &log, &end));
            }
        });
        Self { address, asked, over }
    }

    /// Answers with this status and body.
    fn says(status: &'static str, body: &'static str) -> Self {
        Self::new(move |_| response(status, body))
    }

    fn settings(&self) -> Settings {
        let endpoint = format!("{}/read/", self.address);
        Settings { enabled: true, endpoint, timeout: Span(Duration::from_millis(500)), ..Settings::default() }
    }

    fn remote(&self) -> Remote {
        Remote::start(self.settings()).unwrap()
    }

    /// Paths that were asked for.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn response(status: &str, body: &str) -> Does {
    Does::Says(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn answer(
    mut stream: TcpStream,
    does: &(impl Fn(&str) -> Does + ?Sized),
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
        Does::Says(bytes) => drop(stream.write_all(&bytes)),
        Does::Drips(bytes) => {
            let mut open = stream.write_all(&bytes).is_ok();
            while open && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                open = stream.write_all(b" ").is_ok();
            }
        }
        Does::Stalls => {
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Takes answers until `enough` of what is under way has come back.
fn settle(remote: &mut Remote, enough: impl Fn(&RemoteStats) -> bool) -> Vec<Found> {
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

fn name(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Known(label) => Some(&label.name),
        Answer::Unknown => None,
    }
}

#[test]
fn an_answer_comes_once_and_is_remembered() {
    let server = Server::says("200 OK", CURL);
    let mut remote = server.remote();
    assert_eq!(remote.ask(Method::Ja4, "t13,x"), None);
    assert_eq!(remote.ask(Method::Ja4, "t13,x"), None); // under way
    let found = settle(&mut remote, |stats| stats.hits == 1);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].method, &*found[0].value, &*found[0].label.name), (Method::Ja4, "t13,x", "curl"));
    assert_eq!(&*found[0].label.source, "127.0.0.1");
    for _ in 0..5 {
        assert_eq!(name(&remote.ask(Method::Ja4, "t13,x").unwrap()), Some("curl"));
    }
    let stats = remote.stats();
    assert_eq!((stats.asked, stats.queued, stats.joined, stats.cached), (1, 1, 1, 5));
    assert_eq!(server.asked(), ["/read/t13%2Cx"]);
    assert_eq!(remote.ask(Method::Ja4ssh, "c36s36"), None); // not one of its methods
    assert_eq!(remote.ask(Method::Ja4t, &"2-".repeat(1000)), Some(Answer::Unknown));
    assert_eq!((remote.stats().asked, remote.stats().unfit), (1, 1));
}

#[test]
fn what_is_not_known_is_remembered_for_a_shorter_time() {
    for (status, body) in [("404 Not Found", "no"), ("200 OK", "[]"), ("204 No Content", "")] {
        let server = Server::says(status, body);
        let settings = Settings { miss_age: Span(Duration::from_millis(100)), ..server.settings() };
        let mut remote = Remote::start(settings).unwrap();
        assert_eq!(remote.wait(Method::Ja4, "a", LONG), Answer::Unknown);
        assert_eq!(remote.ask(Method::Ja4, "a"), Some(Answer::Unknown));
        thread::sleep(Duration::from_millis(120));
        assert_eq!(remote.wait(Method::Ja4, "a", LONG), Answer::Unknown);
        let stats = remote.stats();
        assert_eq!((stats.misses, stats.failed, server.asked().len()), (2, 0, 2), "{status}");
    }
}

#[test]
fn whatever_goes_wrong_is_counted_and_nothing_else() {
    let huge = || format!("[{{\"application\":\"{}\"}}]", "a".repeat(2 << 20));
    let failing: [(&str, Script); 9] = [
        ("stalls", Box::new(|| Does::Stalls)),
        ("drips", Box::new(|| Does::Drips(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n[".to_vec()))),
        ("drips its header", Box::new(|| Does::Drips(b"HTTP/1.1 200 OK\r\nx:".to_vec()))),
        ("500", Box::new(|| response("500 Internal Server Error", CURL))),
        ("429", Box::new(|| response("429 Too Many Requests", CURL))),
        ("garbage", Box::new(|| Does::Says(vec![0xff; 5000]))),
        ("no JSON", Box::new(|| response("200 OK", "<html>sorry</html>"))),
        ("too long", Box::new(move || response("200 OK", &huge()))),
        ("cut", Box::new(|| Does::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[".to_vec()))),
    ];
    for (what, does) in failing {
        let server = Server::new(move |_| does());
        let mut remote = server.remote();
        let start = Instant::now();
        assert_eq!(remote.ask(Method::Ja4, "a"), None);
        assert!(start.elapsed() < Duration::from_millis(200), "asking waits: {what}");
        assert_eq!(settle(&mut remote, |stats| stats.failed == 1), [], "{what}");
        assert!(start.elapsed() < Duration::from_secs(3), "{what}: {:?}", start.elapsed());
        assert_eq!(remote.ask(Method::Ja4, "a"), Some(Answer::Unknown), "{what}");
    }
}

#[test]
fn nobody_there_is_a_failure_too() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings { endpoint: format!("http://{address}/"), ..Settings::default() };
    let mut remote = Remote::start(settings).unwrap();
    assert_eq!(remote.wait(Method::Ja4, "a", LONG), Answer::Unknown);
    assert_eq!(remote.stats().failed, 1);
}

#[test]
fn redirects_are_followed_on_the_same_host_and_never_off_it() {
    let redirect = |to: &str| {
        Does::Says(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    };
    let port = Arc::new(AtomicU16::new(0));
    let own = Arc::clone(&port);
    let server = Server::new(move |path| match path {
        "/read/path" => redirect("/other"),
        // Linux takes 0.0.0.0 to this host, though it is no loopback address: the server would be reached.
        "/read/off" => redirect(&format!("http://0.0.0.0:{}/reached", own.load(Ordering::Relaxed))),
        // The same host by another name counts as another host.
        "/read/name" => redirect(&format!("http://localhost:{}/reached", own.load(Ordering::Relaxed))),
        "/read/loop" => redirect("/read/loop"),
        "/read/file" => redirect("file:///etc/passwd"),
        _ => response("200 OK", CURL),
    });
    port.store(server.address.rsplit(':').next().unwrap().parse().unwrap(), Ordering::Relaxed);
    let mut remote = server.remote();
    assert_eq!(name(&remote.wait(Method::Ja4, "path", LONG)), Some("curl"));
    for value in ["off", "name", "loop", "file"] {
        assert_eq!(remote.wait(Method::Ja4, value, LONG), Answer::Unknown, "{value}");
    }
    assert!(!server.asked().iter().any(|path| path == "/reached"));
    assert_eq!((remote.stats().hits, remote.stats().failed), (1, 4));
    let loops = server.asked().iter().filter(|path| *path == "/read/loop").count();
    assert_eq!(loops, 4);
}

#[test]
fn a_failing_server_is_left_alone_until_a_probe_finds_it_well() {
    let well = Arc::new(AtomicBool::new(false));
    let health = Arc::clone(&well);
    let server = Server::new(move |_| match health.load(Ordering::Relaxed) {
        true => response("200 OK", CURL),
        false => response("503 Service Unavailable", ""),
    });
    let pause = Duration::from_millis(400);
    let mut remote = Remote::start(Settings { pause: Span(pause), ..server.settings() }).unwrap();
    for number in 0..20 {
        remote.ask(Method::Ja4, &format!("first {number}"));
    }
    settle(&mut remote, |stats| stats.failed + stats.refused == 20);
    let stats = remote.stats();
    assert_eq!((stats.failed, stats.refused, stats.opened, stats.open), (5, 15, 1, true));
    assert_eq!(server.asked().len(), 5);

    thread::sleep(pause);
    assert_eq!(remote.wait(Method::Ja4, "probe", LONG), Answer::Unknown);
    assert_eq!(remote.wait(Method::Ja4, "refused", LONG), Answer::Unknown);
    let stats = remote.stats();
    assert_eq!((stats.failed, stats.refused, stats.opened, server.asked().len()), (6, 16, 2, 6));

    well.store(true, Ordering::Relaxed);
    thread::sleep(pause);
    assert_eq!(name(&remote.wait(Method::Ja4, "probe", LONG)), Some("curl")); // asked anew after the pause
    assert_eq!(name(&remote.wait(Method::Ja4, "next", LONG)), Some("curl"));
    assert!(!remote.stats().open);
}

#[test]
fn the_queue_is_bounded_and_asking_never_waits() {
    let server = Server::new(|_| Does::Stalls);
    let mut remote = Remote::start(Settings { queue: 10, ..server.settings() }).unwrap();
    let start = Instant::now();
    for number in 0..10_000 {
        assert_eq!(remote.ask(Method::Ja4, &format!("{number}")), None);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let stats = remote.stats();
    assert_eq!((stats.asked, stats.queued + stats.dropped), (10_000, 10_000));
    assert!((10..=12).contains(&stats.queued), "{stats:?}");
    let queued = stats.queued;
    settle(&mut remote, |stats| stats.failed + stats.refused == queued);
}

#[test]
fn the_cache_forgets_what_was_used_longest_ago() {
    let server = Server::says("200 OK", CURL);
    let mut remote = Remote::start(Settings { cache: 3, ..server.settings() }).unwrap();
    for value in ["a", "b", "c", "a", "d"] {
        assert_eq!(name(&remote.wait(Method::Ja4, value, LONG)), Some("curl"));
    }
    assert_eq!((remote.cached(), remote.stats().evicted), (3, 1));
    assert!(remote.ask(Method::Ja4, "a").is_some());
    assert!(remote.ask(Method::Ja4, "b").is_none());
}
