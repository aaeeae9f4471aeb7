//! Certificates for servers and clients.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::NAME;
use crate::process::{self, LIMIT};
use crate::sensor::Outcome;

/// KeyType type of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
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
    /// Creates a chain with openssl.
    ///
    /// # Panics
    /// If openssl fails.
    pub fn new(key: KeyType) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let algorithm: &[&str] = match key {
            KeyType::Rsa => &["-newkey", "rsa:2048"],
            KeyType::Ec => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
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
