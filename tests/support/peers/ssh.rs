//! SSH: OpenSSH on both sides.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{self, LIMIT, Spawned};
use crate::sensor::Outcome;

/// Absolute path of sshd, which sshd requires to re-execute itself for each connection.
const SSHD: &str = "/usr/sbin/sshd";

/// Shell command that starts sshd with empty `/run` and `/var/log`. sshd needs the privilege-separation directory
/// `/run/sshd` and writes login records below `/run` and `/var/log`. `ip netns exec` creates a mount namespace, so the
/// tmpfs mounts do not affect the machine.
const ALONE: &str =
    "mount -t tmpfs none /run && mount -t tmpfs none /var/log && mkdir -m 0755 /run/sshd && exec \"$0\" \"$@\"";

/// Pins both ends, and the processing of the wire between them, to one CPU. On two CPUs, segments of the two directions
/// can be reordered between the sensor's hook and tcpdump's, and the JA4SSH window of a packet or an ACK depends on the
/// capture point. On one CPU, a packet passes both hooks before the next one is sent or received, so both capture
/// points see the same order, and live values equal those of the replay.
const ONE_CPU: [&str; 3] = ["taskset", "--cpu-list", "0"];

/// Interval between two keystrokes: long enough that each echo is a separate segment.
const KEYSTROKE: Duration = Duration::from_millis(25);

/// sshd with its own host key and an authorized client key.
#[derive(Debug)]
pub struct Sshd {
    _process: Spawned,
    folder: TempDir,
    port: u16,
}

impl Sshd {
    /// Starts sshd on both address families.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(host: &Namespace, port: u16) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for key in ["host", "client"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join(key));
            Outcome::new(process::run(command, &[], LIMIT)).ok();
        }
        let file = folder.path().join("sshd_config");
        fs::write(&file, Self::configuration(folder.path(), port)).expect("the temporary folder is ours");
        let file = file.to_str().expect("temporary names are UTF-8");
        let mut process = host.spawn(&[&ONE_CPU, &["sh", "-c", ALONE, SSHD, "-D", "-e", "-f", file][..]].concat());
        host.wait_listening(&mut process, port);
        Self { _process: process, folder, port }
    }

    /// Types `text` into a shell on the server, one character at a time, and exits the shell.
    ///
    /// # Panics
    /// If the client fails.
    pub fn types(&self, client: &Namespace, server: IpAddr, text: &str) -> Outcome {
        let port = self.port.to_string();
        let [program, options @ ..] = ONE_CPU;
        let mut command = Command::new(program);
        command.args(options).arg("ssh");
        // The login shell would write a history file.
        command.args(self.options()).args(["-tt", "-p", &port]).arg(format!("root@{server}")).arg("sh");
        let typed = format!("{text}\nexit\n");
        let keys: Vec<&[u8]> = typed.as_bytes().chunks(1).collect();
        Outcome::new(process::run_typing(client.enter(&command), &keys, KEYSTROKE, LIMIT)).ok()
    }

    /// Copies `bytes` bytes to the server with scp.
    ///
    /// # Panics
    /// If the copy fails.
    pub fn upload(&self, client: &Namespace, server: IpAddr, bytes: usize) {
        let (here, there) = self.files(bytes);
        self.copy(client, here.as_os_str().to_str().expect("UTF-8"), &remote(server, &there));
        self.check(bytes, &there);
    }

    /// Copies `bytes` bytes from the server with scp.
    ///
    /// # Panics
    /// If the copy fails.
    pub fn download(&self, client: &Namespace, server: IpAddr, bytes: usize) {
        let (there, here) = self.files(bytes);
        self.copy(client, &remote(server, &there), here.as_os_str().to_str().expect("UTF-8"));
        self.check(bytes, &here);
    }

    fn copy(&self, client: &Namespace, from: &str, to: &str) {
        let (port, options) = (self.port.to_string(), self.options());
        let mut argv = ONE_CPU.to_vec();
        argv.extend(["scp", "-q", "-P", &port]);
        argv.extend(options.iter().map(String::as_str));
        argv.extend([from, to]);
        client.run(&argv).ok();
    }

    /// Creates a file of `bytes` bytes; returns its path and the path of the copy.
    fn files(&self, bytes: usize) -> (PathBuf, PathBuf) {
        let [from, to] = ["from", "to"].map(|name| self.folder.path().join(name));
        fs::write(&from, vec![0x5a; bytes]).expect("the temporary folder is ours");
        (from, to)
    }

    fn check(&self, bytes: usize, copy: &Path) {
        assert_eq!(fs::read(copy).expect("scp wrote it").len(), bytes);
        fs::remove_file(copy).expect("the temporary folder is ours");
    }

    /// Returns client options that ignore the user's configuration, keys and known hosts.
    fn options(&self) -> Vec<String> {
        let key = self.folder.path().join("client").display().to_string();
        let mut options = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned(), key];
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "LogLevel=ERROR",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    fn configuration(folder: &Path, port: u16) -> String {
        let folder = folder.display();
        format!(
            "Port {port}\nListenAddress 0.0.0.0\nListenAddress ::\nHostKey {folder}/host\n\
             AuthorizedKeysFile {folder}/client.pub\nPidFile none\nUsePAM no\nStrictModes no\nUseDNS no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPrintMotd no\nPrintLastLog no\n\
             Subsystem sftp internal-sftp\n"
        )
    }
}

fn remote(server: IpAddr, file: &Path) -> String {
    match server {
        IpAddr::V4(server) => format!("root@{server}:{}", file.display()),
        IpAddr::V6(server) => format!("root@[{server}]:{}", file.display()),
    }
}
