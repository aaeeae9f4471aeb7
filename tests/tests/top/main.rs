//! `ja4sensor top` in a terminal: keys are pressed, and the screen is compared.
mod attached;
mod file;
mod interface;
mod terminal;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tests::peers::{Chain, KeyType, openssl_server};
use tests::process::Spawned;
use tests::tmux::TmuxTerminal;
use tests::{Sensor, Wire, require_bpf, require_tools};

/// Port of the web server.
const PORT: u16 = 4433;

/// Name of the web server.
const NAME: &str = "www.example.org";

/// The method and the value of curl's ClientHello, up to its ciphers.
const CURL: &str = "t13d3112h2_";

/// Whether the test can run.
fn is_possible() -> bool {
    require_bpf() && require_tools(&["ip", "ethtool", "tmux", "pgrep", "openssl", "curl"])
}

/// A temporary folder with a configuration in which curl is known to be bad.
struct TopFolder(TempDir);

impl TopFolder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        let bad = format!(
            "[[pattern]]\ntype = \"ja4\"\nmatch = \"{CURL}*\"\ncategory = \"test\"\nnote = \"a test program\"\nconfidence = 90\n"
        );
        fs::write(folder.path("bad.toml"), bad).unwrap();
        let config =
            "[first_seen]\nlearning = \"0\"\n[lookup]\nknown_bad_extra = [\"bad.toml\"]\n[http]\nlisten = \"off\"\n";
        fs::write(folder.path("sensor.toml"), config).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn terminal(&self, width: u16, height: u16) -> TmuxTerminal {
        TmuxTerminal::start(self.0.path(), width, height)
    }
}

/// Path of the binary.
fn binary() -> String {
    Sensor::new().binary().to_str().unwrap().to_owned()
}

/// Starts a web server on the server's host.
fn web_server(wire: &Wire) -> (Chain, Spawned) {
    let chain = Chain::new(KeyType::Ec);
    let server = openssl_server(wire.server(), PORT, &chain, &[]);
    (chain, server)
}

/// Visits the web server with curl.
fn visit(wire: &Wire) {
    let to = format!("{NAME}:{PORT}:{}", wire.server().v4());
    let url = format!("https://{NAME}:{PORT}/");
    wire.client().run(&["curl", "--silent", "--insecure", "--output", "/dev/null", "--resolve", &to, &url]).ok();
}
