//! Traffic between the hosts of a wire, one function per protocol, for the live tests and the comparison with other
//! implementations. Only ports, keys and times differ between runs.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::hello::{self, Shape};
use crate::netns::Wire;
use crate::peers::{self, Chain, DTLS_10, Dnsmasq, KeyType, Nginx, Sshd};
use crate::privilege::require_tools;
use crate::random::SplitMix64;
use crate::tunnel::LiveTunnel;

/// Size of a request body in [`http1`] and [`http2`], bytes: many segments, none of which starts like a request.
pub const BODY: usize = 100 * 1024;
/// Size of a file copy in [`ssh`], bytes: more than a thousand segments.
pub const COPY: usize = 2 << 20;

/// Number of connections of [`tls`].
pub const TLS_CONNECTIONS: usize = 10;

/// Connects curl and openssl to nginx and openssl: TLS 1.2 and 1.3, both address families, a ClientHello in two
/// segments, and a post-quantum ClientHello with one byte in its first segment.
///
/// # Panics
/// If a peer fails. The same is true of the other functions of this module.
pub fn tls(wire: &Wire) {
    let chain = Chain::new(KeyType::Rsa);
    let (client, server) = (wire.client(), wire.server());
    let nginx = require_tools(&["nginx"]).then(|| Nginx::start(server, 443, &chain));
    let _openssl = peers::openssl_server(server, 8443, &chain, &[]);
    let hello = hello::records(&Shape::PostQuantum.client_hello(peers::NAME, &mut SplitMix64::new(9)), usize::MAX);
    let protocols = peers::many_protocols();
    for address in [server.v4(), server.v6()] {
        let web = if nginx.is_some() { 443 } else { 8443 };
        peers::curl(client, address, web, &["--tls-max", "1.2"]);
        peers::curl(client, address, web, &["--tlsv1.3"]);
        peers::openssl_client(client, address, 8443, &["-tls1_2"]);
        peers::openssl_client(client, address, 8443, &["-tls1_3", "-alpn", &protocols]);
        let pieces = [&hello[..1], &hello[1..1300], &hello[1300..]];
        peers::send_segments(client, server, (address, 9443).into(), &pieces, Duration::from_millis(5));
    }
}

/// Number of connections of [`quic`].
pub const QUIC_CONNECTIONS: usize = 7;

/// Runs aioquic peers with the interpreter `python`: QUIC version 1 over both address families, version 2, a
/// ClientHello in three Initial packets, early data on a second connection, an upgrade from version 1 to 2, and a
/// Retry.
pub fn quic(wire: &Wire, python: &Path) {
    let chain = Chain::new(KeyType::Ec);
    let (client, server) = (wire.client(), wire.server());
    let _server = peers::quic_server(python, server, 443, &chain, &[]);
    let _retrying = peers::quic_server(python, server, 8443, &chain, &["--retry"]);
    peers::quic_client(python, client, server.v4(), 443, &[]).stdout_has("version 0x1,");
    peers::quic_client(python, client, server.v6(), 443, &["--version", "2"]).stdout_has("version 0x6b3343cf,");
    peers::quic_client(python, client, server.v6(), 443, &["--protocols", "150"]);
    peers::quic_client(python, client, server.v4(), 443, &["--resume"]).stdout_has("early data True");
    peers::quic_client(python, client, server.v4(), 443, &["--upgrade"]).stdout_has("version 0x6b3343cf,");
    peers::quic_client(python, client, server.v4(), 8443, &[]);
}

/// Number of connections of [`dtls`].
pub const DTLS_CONNECTIONS: usize = 4;

/// Runs openssl peers: DTLS 1.2 and 1.0, a connection with fragmented messages and a long ClientHello, and one with a
/// client certificate. Each handshake has a cookie exchange.
pub fn dtls(wire: &Wire) {
    const SMALL: [&str; 2] = ["-mtu", "300"];
    let chain = Chain::new(KeyType::Rsa);
    let (client, server) = (wire.client(), wire.server());
    let (leaf, key, protocols) = (chain.path("leaf.pem"), chain.path("leaf.key"), peers::many_protocols());
    let certificate = ["-dtls1_2", "-cert", &leaf, "-key", &key, "-mtu", "300"];
    let cases: [(&[&str], &[&str]); DTLS_CONNECTIONS] = [
        (&["-dtls1_2"], &["-dtls1_2"]),
        (&DTLS_10, &DTLS_10),
        (&[&["-dtls1_2"], &SMALL[..]].concat(), &[&["-dtls1_2", "-alpn", &protocols], &SMALL[..]].concat()),
        (&[&["-dtls1_2", "-Verify", "1"], &SMALL[..]].concat(), &certificate),
    ];
    for (number, (serve, connect)) in cases.into_iter().enumerate() {
        let port = 4433 + number as u16;
        let _server = peers::dtls_server(server, port, &chain, serve);
        let address = if number % 2 == 0 { server.v4() } else { server.v6() };
        peers::dtls_client(client, address, port, connect).stdout_has("Cipher is ");
    }
}

/// Numbers of connections of [`proxied`]: with TLS, with HTTP/1.
pub const PROXIED_CONNECTIONS: [usize; 2] = [2, 2];

/// Connects curl to nginx with a PROXY protocol header before TLS and before HTTP/1.
pub fn proxied(wire: &Wire) {
    let chain = Chain::new(KeyType::Ec);
    let (client, server) = (wire.client(), wire.server());
    let _nginx = Nginx::behind_proxy(server, 80, 443, &chain);
    for (address, tls) in [(server.v4(), "1.2"), (server.v6(), "1.3")] {
        peers::curl(client, address, 443, &["--haproxy-protocol", "--tls-max", tls]);
        peers::curl_requests(client, address, 80, "--http1.1", &[("/", &["--haproxy-protocol"])]);
    }
}

/// Number of connections of [`openvpn`].
pub const OPENVPN_CONNECTIONS: usize = 3;

/// Runs OpenVPN over UDP, without and with `tls-auth`, and over TCP.
pub fn openvpn(wire: &Wire) {
    let chain = Chain::new(KeyType::Ec);
    let (client, server) = (wire.client(), wire.server());
    let folder = TempDir::new().expect("a temporary folder");
    let key = folder.path().join("static.key").to_str().expect("temporary names are UTF-8").to_owned();
    server.run(&["openvpn", "--genkey", "secret", &key]).ok();
    peers::openvpn(client, server, (server.v4(), 1194), false, &[], &chain);
    peers::openvpn(client, server, (server.v6(), 1195), false, &["--tls-auth", &key], &chain);
    peers::openvpn(client, server, (server.v4(), 1196), true, &[], &chain);
}

/// Number of requests of [`http1`].
pub const HTTP1_REQUESTS: usize = 8;

/// Connects curl to nginx over HTTP/1: one connection with several kinds of requests, two of which have a long body and
/// are followed by other requests, and one connection over IPv6 with HTTP/1.0.
pub fn http1(wire: &Wire) {
    let _nginx = Nginx::cleartext(wire.server(), 80, 8080);
    let (_folder, body) = body();
    let requests: [(&str, &[&str]); HTTP1_REQUESTS - 1] = [
        ("/", &[]),
        ("/", &["-b", "zebra=1; apple=2; flag", "-e", "http://sensor.test/", "-H", "Accept-Language: de-AT,de;q=0.9"]),
        ("/", &["-I"]),
        // This path is answered after the complete body. After an earlier response, the next request could share a
        // segment with the end of the body.
        (peers::UPLOAD, &["--data-binary", &body]),
        ("/", &["-b", "a=1; b=2", "-A", "sensor tests"]),
        (peers::UPLOAD, &["-X", "PUT", "--data-binary", &body]),
        ("/", &["-X", "DELETE", "-H", "X-Empty;", "-H", "Accept-Language: en;q=0.5"]),
    ];
    peers::curl_requests(wire.client(), wire.server().v4(), 80, "--http1.1", &requests);
    peers::curl_requests(wire.client(), wire.server().v6(), 80, "--http1.0", &[("/", &[])]);
}

/// Number of connections of [`http2`].
pub const HTTP2_CONNECTIONS: usize = 4;
/// Number of requests of [`http2`].
pub const HTTP2_REQUESTS: usize = 7;

/// Connects curl and nghttp to nginx over HTTP/2 with prior knowledge. curl sends a request and a long body on separate
/// connections. nghttp sends three concurrent requests with header fields from the dynamic table, and two concurrent
/// long bodies.
pub fn http2(wire: &Wire) {
    let _nginx = Nginx::cleartext(wire.server(), 80, 8080);
    let (_folder, body) = body();
    let (client, server) = (wire.client(), wire.server());
    let fields = ["-b", "zebra=1; apple=2", "-e", "http://sensor.test/", "-H", "Accept-Language: de-AT,de;q=0.9"];
    let long: [&str; 2] = ["--data-binary", &body];
    for (address, path, options) in [(server.v4(), "/", &fields[..]), (server.v6(), peers::UPLOAD, &long)] {
        peers::curl_requests(client, address, 8080, "--http2-prior-knowledge", &[(path, options)]);
    }
    let fields = ["-H", "cookie: zebra=1; apple=2", "-H", "referer: http://sensor.test/"];
    peers::nghttp(client, server.v4(), 8080, &fields, &["/", "/other", "/third"]);
    peers::nghttp(client, server.v6(), 8080, &["-d", &body[1..]], &["/upload", "/upload/again"]);
}

/// Creates a file of [`BODY`] bytes. Returns its folder and its name with curl's prefix `@`.
fn body() -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("body");
    std::fs::write(&file, vec![b'x'; BODY]).expect("the temporary folder is ours");
    let name = format!("@{}", file.display());
    (folder, name)
}

/// Number of connections of [`ssh`]: a session with typed input, an upload and a download.
pub const SSH_CONNECTIONS: usize = 3;

/// Runs OpenSSH: a session with typed input, a file copy to the server, and a file copy from the server over IPv6.
pub fn ssh(wire: &Wire) {
    let sshd = Sshd::start(wire.server(), 22);
    let (client, server) = (wire.client(), wire.server());
    let line = "echo a line that a person types with some care, and more of it so that a window of packets is full";
    sshd.types(client, server.v4(), line).stdout_has("with some care");
    sshd.upload(client, server.v4(), COPY);
    sshd.download(client, server.v6(), COPY);
}

/// Host name that `udhcpc` sends.
pub const DHCP_NAME: &str = "typewriter";

/// Runs dnsmasq, udhcpc and dhclient: a lease and its release, twice for IPv4 and once for IPv6.
pub fn dhcp(wire: &Wire) {
    let _dnsmasq = Dnsmasq::start(wire.server());
    peers::udhcpc(wire.client(), DHCP_NAME);
    peers::dhclient(wire.client(), "-4");
    peers::dhclient(wire.client(), "-6");
}

/// Connects curl to nginx through a tunnel: TLS 1.2 over IPv4, and TLS 1.3 over IPv6 if `v6` is set, else over IPv4.
pub fn tunnelled(wire: &Wire, tunnel: &LiveTunnel, v6: bool) {
    let chain = Chain::new(KeyType::Rsa);
    let _nginx = Nginx::start(wire.server(), 443, &chain);
    peers::curl(wire.client(), tunnel.server_v4(), 443, &["--tls-max", "1.2"]);
    let address = if v6 { tunnel.server_v6() } else { tunnel.server_v4() };
    peers::curl(wire.client(), address, 443, &["--tlsv1.3"]);
}

/// Number of connections of [`tunnelled`].
pub const TUNNELLED_CONNECTIONS: usize = 2;
