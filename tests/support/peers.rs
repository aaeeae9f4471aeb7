//! Real clients and servers on the hosts of a [`Wire`](crate::Wire).

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{self, LIMIT, Spawned};
use crate::sensor::Outcome;

/// The name in the certificates, and the SNI of the clients.
pub const NAME: &str = "sensor.test";

/// How long a peer of our own waits for bytes that do not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA, 2048 bits.
    Rsa,
    /// P-256.
    Ec,
}

/// A certificate chain of two (leaf and root), valid for [`NAME`].
#[derive(Debug)]
pub struct Chain {
    folder: TempDir,
}

impl Chain {
    /// Makes one with openssl.
    ///
    /// # Panics
    /// If openssl fails.
    pub fn new(key: Key) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let algorithm: &[&str] = match key {
            Key::Rsa => &["-newkey", "rsa:2048"],
            Key::Ec => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        };
        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            command.current_dir(folder.path()).args(arguments);
            Outcome::new(process::run(command, &[], LIMIT)).ok();
        };
        let request = |arguments: &[&str]| {
            let mut all = vec!["req", "-x509", "-nodes", "-days", "30"];
            all.extend(algorithm);
            all.extend(arguments);
            openssl(&all);
        };
        let alternative = format!("subjectAltName=DNS:{NAME}");
        request(&["-subj", "/O=Sensor tests/CN=Sensor test root", "-keyout", "root.key", "-out", "root.pem"]);
        request(&[
            "-subj",
            &format!("/CN={NAME}"),
            "-addext",
            &alternative,
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.pem",
        ]);
        let chain = ["leaf.pem", "root.pem"].map(|name| fs::read(folder.path().join(name)).expect("openssl wrote it"));
        fs::write(folder.path().join("chain.pem"), chain.concat()).expect("the temporary folder is ours");
        Self { folder }
    }

    /// The path of `chain.pem` (leaf first), `leaf.key`, `leaf.pem` or `root.pem`.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("temporary names are UTF-8").to_owned()
    }
}

/// `openssl s_server`, answering each request with a page about the connection, on both address families.
///
/// # Panics
/// If it does not come to listen.
pub fn openssl_server(host: &Namespace, port: u16, chain: &Chain, tls: &[&str]) -> Spawned {
    let (accept, key) = (format!("*:{port}"), chain.path("leaf.key"));
    let (leaf, root) = (chain.path("leaf.pem"), chain.path("root.pem"));
    let mut argv = vec!["openssl", "s_server", "-accept", &accept, "-cert", &leaf, "-cert_chain", &root, "-key", &key];
    argv.extend(["-www", "-quiet"]);
    argv.extend(tls);
    let mut server = host.spawn(&argv);
    host.wait_listening(&mut server, port);
    server
}

/// nginx with TLS 1.2, 1.3 and HTTP/2 on both address families.
#[derive(Debug)]
pub struct Nginx {
    _process: Spawned,
    _folder: TempDir,
}

impl Nginx {
    /// Starts it.
    ///
    /// # Panics
    /// If it does not come to listen.
    pub fn start(host: &Namespace, port: u16, chain: &Chain) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("nginx.conf");
        fs::write(&file, Self::configuration(folder.path(), port, chain)).expect("the temporary folder is ours");
        let (file, prefix) = (file.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
        let mut process = host.spawn(&["nginx", "-p", prefix, "-e", "stderr", "-c", file]);
        host.wait_listening(&mut process, port);
        Self { _process: process, _folder: folder }
    }

    /// One process in the foreground, so that ending it ends all of it; every file it writes is in its folder.
    fn configuration(folder: &Path, port: u16, chain: &Chain) -> String {
        let folder = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
            .concat();
        format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {folder}/pid;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n    access_log off;\n{temporary}    server {{\n\
             \x20       listen {port} ssl http2;\n        listen [::]:{port} ssl http2;\n\
             \x20       server_name {NAME};\n        ssl_protocols TLSv1.2 TLSv1.3;\n\
             \x20       ssl_certificate {chain};\n        ssl_certificate_key {key};\n\
             \x20       location / {{ return 200 \"hello\\n\"; }}\n    }}\n}}\n",
            chain = chain.path("chain.pem"),
            key = chain.path("leaf.key"),
        )
    }
}

/// Fetches a page with curl and checks that it came. The certificate is not checked: it is not what is tested.
///
/// # Panics
/// If there is no page.
pub fn curl(host: &Namespace, server: IpAddr, port: u16, options: &[&str]) -> Outcome {
    let resolve = match server {
        IpAddr::V4(server) => format!("{NAME}:{port}:{server}"),
        IpAddr::V6(server) => format!("{NAME}:{port}:[{server}]"),
    };
    let url = format!("https://{NAME}:{port}/");
    // -q: no configuration file of whoever runs the tests.
    let mut argv = vec!["curl", "-q", "-k", "-sS", "--noproxy", "*", "--max-time", "10", "--resolve", &resolve];
    argv.extend(options);
    argv.push(&url);
    host.run(&argv).ok()
}

/// Handshakes with `openssl s_client` and says goodbye.
///
/// # Panics
/// If the handshake does not succeed.
pub fn openssl_client(host: &Namespace, server: IpAddr, port: u16, tls: &[&str]) -> Outcome {
    let to = SocketAddr::new(server, port).to_string();
    let mut argv = vec!["openssl", "s_client", "-connect", &to, "-servername", NAME];
    argv.extend(tls);
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    Outcome::new(process::run(host.enter(&command), b"Q\n", LIMIT)).ok()
}

/// A value for `-alpn` so long that the ClientHello needs more than one Ethernet segment.
pub fn many_protocols() -> String {
    let mut names: Vec<String> = (0..100).map(|number| format!("protocol-number-{number}")).collect();
    names.insert(0, "h2".to_owned());
    names.join(",")
}

/// Sends `pieces` from `client` to a sink on `server`, each in a segment of its own, `pause` apart.
///
/// # Panics
/// If the connection cannot be made.
pub fn send_pieces(client: &Namespace, server: &Namespace, to: SocketAddr, pieces: &[&[u8]], pause: Duration) {
    let sink = sink(server, to);
    client.with(|| {
        let mut stream = TcpStream::connect(to).expect("the sink listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        for piece in pieces {
            stream.write_all(piece).expect("the sink reads");
            thread::sleep(pause);
        }
    });
    let received = sink.join().expect("the sink");
    assert_eq!(received, pieces.concat(), "the sink got what was sent");
}

/// Accepts one connection and reads it to its end.
fn sink(host: &Namespace, at: SocketAddr) -> JoinHandle<Vec<u8>> {
    let listener = host.with(|| TcpListener::bind(at).expect("the address is free"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the client closes");
        bytes
    })
}
