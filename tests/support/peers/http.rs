//! HTTP: curl and nginx.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tempfile::TempDir;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::Spawned;
use crate::sensor::Outcome;

/// Response body for every path.
const ANSWER: &str = "hello";

/// nginx on both address families, answering each request with a constant line.
#[derive(Debug)]
pub struct Nginx {
    _process: Spawned,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx with TLS 1.2, TLS 1.3 and HTTP/2.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(host: &Namespace, port: u16, chain: &Chain) -> Self {
        let (chain, key) = (chain.path("chain.pem"), chain.path("leaf.key"));
        let tls = format!("ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {chain}; ssl_certificate_key {key};");
        Self::serve(host, &[(port, "ssl http2")], &tls)
    }

    /// Starts nginx without TLS: HTTP/1 on one port, HTTP/2 with prior knowledge on the other.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn cleartext(host: &Namespace, http1: u16, http2: u16) -> Self {
        Self::serve(host, &[(http1, ""), (http2, "http2")], "")
    }

    /// Starts nginx with the PROXY protocol: HTTP/1 without TLS on one port, TLS on the other.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn behind_proxy(host: &Namespace, http1: u16, port: u16, chain: &Chain) -> Self {
        let (chain, key) = (chain.path("chain.pem"), chain.path("leaf.key"));
        let tls = format!("ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {chain}; ssl_certificate_key {key};");
        Self::serve(host, &[(http1, "proxy_protocol"), (port, "ssl proxy_protocol")], &tls)
    }

    fn serve(host: &Namespace, ports: &[(u16, &str)], tls: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("nginx.conf");
        fs::write(&file, Self::configuration(folder.path(), ports, tls)).expect("the temporary folder is ours");
        let (file, prefix) = (file.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
        let mut process = host.spawn(&["nginx", "-p", prefix, "-e", "stderr", "-c", file]);
        for (port, _) in ports {
            host.wait_listening(&mut process, *port);
        }
        Self { _process: process, _folder: folder }
    }

    /// Returns a configuration for a single foreground process, so that one kill stops nginx. All its files are in
    /// `folder`.
    fn configuration(folder: &Path, ports: &[(u16, &str)], tls: &str) -> String {
        let folder = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let listen: String = ports
            .iter()
            .map(|(port, options)| format!("        listen {port} {options};\n        listen [::]:{port} {options};\n"))
            .collect();
        format!(
            "daemon off;\nmaster_process off;\nuser root;\npid {folder}/pid;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n    access_log off;\n{temporary}    server {{\n{listen}        server_name {NAME};\n        {tls}\n\
             \x20       location / {{ return 200 {ANSWER}; }}\n\
             \x20       location {UPLOAD} {{ proxy_pass http://unix:{folder}/back:/; }}\n    }}\n\
             \x20   server {{\n        listen unix:{folder}/back;\n        location / {{ return 200 {ANSWER}; }}\n    }}\n}}\n",
        )
    }
}

/// Fetches a page over HTTPS with curl. The certificate is not verified: it is not under test.
///
/// # Panics
/// If curl fails.
pub fn curl(host: &Namespace, server: IpAddr, port: u16, options: &[&str]) -> Outcome {
    let resolve = match server {
        IpAddr::V4(server) => format!("{NAME}:{port}:{server}"),
        IpAddr::V6(server) => format!("{NAME}:{port}:[{server}]"),
    };
    let url = format!("https://{NAME}:{port}/");
    // -q: ignore the user's curlrc.
    let mut argv = vec!["curl", "-q", "-k", "-sS", "--noproxy", "*", "--max-time", "10", "--resolve", &resolve];
    argv.extend(options);
    argv.push(&url);
    host.run(&argv).ok()
}

/// Path on which nginx reads the whole request body before it answers; on other paths it answers first.
pub const UPLOAD: &str = "/upload";

/// Sends requests with one curl process over one connection without TLS. Each request has its own path and options.
/// curl 7.88 does not support this in HTTP/2.
///
/// # Panics
/// If curl opens more than one connection or a response is not 200.
pub fn curl_requests(host: &Namespace, server: IpAddr, port: u16, version: &str, requests: &[(&str, &[&str])]) {
    let urls: Vec<_> = requests.iter().map(|(path, _)| url(server, port, path)).collect();
    let mut argv = vec!["curl", "-q"];
    for (number, ((_, options), url)) in requests.iter().zip(&urls).enumerate() {
        if number > 0 {
            argv.push("--next");
        }
        argv.extend([version, "-sS", "--noproxy", "*", "--max-time", "10", "-o", "/dev/null"]);
        argv.extend(["-w", "%{num_connects} %{http_code}\n"]);
        argv.extend(*options);
        argv.push(url);
    }
    let answers = host.run(&argv).ok().stdout().to_owned();
    let expected = format!("1 200\n{}", "0 200\n".repeat(requests.len().saturating_sub(1)));
    assert_eq!(answers, expected, "new connections and status of each request");
}

/// Requests all paths concurrently with nghttp over one HTTP/2 connection without TLS.
///
/// # Panics
/// If a response is missing.
pub fn nghttp(host: &Namespace, server: IpAddr, port: u16, options: &[&str], paths: &[&str]) {
    let urls: Vec<_> = paths.iter().map(|path| url(server, port, path)).collect();
    let mut argv = vec!["nghttp", "-t", "10"];
    argv.extend(options);
    argv.extend(urls.iter().map(String::as_str));
    assert_eq!(host.run(&argv).ok().stdout().matches(ANSWER).count(), paths.len());
}

fn url(server: IpAddr, port: u16, path: &str) -> String {
    format!("http://{}{path}", SocketAddr::new(server, port))
}
