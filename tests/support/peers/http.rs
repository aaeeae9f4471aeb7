//! HTTP: curl and nginx.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use tempfile::TempDir;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::Spawned;
use crate::sensor::Outcome;

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
