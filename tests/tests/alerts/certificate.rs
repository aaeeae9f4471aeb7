//! A root certificate, and a certificate for this host that TLS clients accept.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use tests::Outcome;
use tests::process::{self, LIMIT};

/// `root.pem`, `leaf.pem`, `leaf.key` in a folder; the leaf is valid for 127.0.0.1 and logs.example.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let extensions = "[req]\ndistinguished_name=name\n[name]\n[root]\nbasicConstraints=critical,CA:TRUE\n\
            [leaf]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:logs.example\n\
            extendedKeyUsage=serverAuth\n";
        fs::write(folder.path().join("openssl.cnf"), extensions).unwrap();
        let make = |name: &str, more: &[&str]| {
            let mut command = Command::new("openssl");
            command.current_dir(folder.path());
            command.args(["req", "-x509", "-nodes", "-days", "30", "-config", "openssl.cnf", "-extensions", name]);
            command.args([
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-subj",
                &format!("/CN={name}"),
            ]);
            command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]).args(more);
            Outcome::new(process::run(command, &[], LIMIT)).ok();
        };
        make("root", &[]);
        make("leaf", &["-CA", "root.pem", "-CAkey", "root.key"]);
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}
