//! Runs a real rsyslog.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::process::{Spawned, until};

use super::certificate::Certificates;
use super::server::{free_port, is_served};

/// Timeout until rsyslog has written the received messages.
const SOON: Duration = Duration::from_secs(20);

/// rsyslog on ports of this host. It writes received messages to a file, with tab-separated fields.
pub(crate) struct Rsyslog {
    folder: TempDir,
    pub(crate) udp: u16,
    pub(crate) tcp: u16,
    process: Option<Spawned>,
}

impl Rsyslog {
    /// Starts rsyslog with plain TCP or with TLS.
    pub(crate) fn start(tls: Option<&Certificates>) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rsyslog = Self { folder: TempDir::new().unwrap(), udp, tcp: free_port(), process: None };
        let folder = rsyslog.folder.path().display();
        let (global, module) = match tls {
            None => (String::new(), ""),
            Some(files) => (
                format!(
                    r#"DefaultNetstreamDriverCAFile="{}" DefaultNetstreamDriverCertFile="{}" DefaultNetstreamDriverKeyFile="{}""#,
                    files.path("root.pem"),
                    files.path("leaf.pem"),
                    files.path("leaf.key"),
                ),
                r#"StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon""#,
            ),
        };
        let configuration = format!(
            r#"
            global(workDirectory="{folder}" {global})
            module(load="imudp")
            module(load="imtcp" {module})
            template(name="fields" type="string" string="%pri%\t%timestamp:::date-rfc3339%\t%hostname%\t%app-name%\t%msgid%\t%structured-data%\t%msg%\n")
            ruleset(name="all") {{ action(type="omfile" file="{folder}/out" template="fields") }}
            input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all")
            input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
            "#,
            tcp = rsyslog.tcp,
        );
        fs::write(rsyslog.folder.path().join("conf"), configuration).unwrap();
        rsyslog.run();
        rsyslog
    }

    pub(crate) fn run(&mut self) {
        let mut command = Command::new("rsyslogd");
        let path = |name: &str| self.folder.path().join(name);
        command.args(["-n", "-f"]).arg(path("conf")).arg("-i").arg(path("pid"));
        let mut process = Spawned::start(command);
        let tcp = self.tcp;
        process.wait_until("rsyslog listens", |_| is_served(tcp));
        self.process = Some(process);
    }

    pub(crate) fn stop(&mut self) {
        self.process.take().unwrap().stop(Signal::SIGTERM);
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Waits for `count` lines in the output and returns the lines.
    pub(crate) fn lines(&self, count: usize) -> Vec<Vec<String>> {
        let read = || fs::read_to_string(self.out()).unwrap_or_default();
        assert!(until(SOON, || read().lines().count() >= count), "{count} lines in\n{}", read());
        let text = read();
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
        assert_eq!(lines.len(), count, "{text}");
        lines
    }
}
