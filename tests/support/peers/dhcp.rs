//! DHCPv4 and DHCPv6: dnsmasq as the server, udhcpc and dhclient as clients. The clients do not configure their host.

use std::fs;

use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Spawned;
use crate::sensor::Outcome;

/// Server ports (RFC 2131, section 4.1; RFC 8415, section 7.2).
const V4: u16 = 67;
const V6: u16 = 547;

/// dnsmasq without DNS, serving DHCPv4 and DHCPv6 leases.
#[derive(Debug)]
pub struct Dnsmasq {
    _process: Spawned,
    _folder: TempDir,
}

impl Dnsmasq {
    /// Starts dnsmasq on the host's interface.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(host: &Namespace) -> Self {
        // dnsmasq answers from the link-local address, which must exist first.
        host.wait_addresses();
        let folder = TempDir::new().expect("a temporary folder");
        let leases = format!("--dhcp-leasefile={}", folder.path().join("leases").display());
        let interface = format!("--interface={}", host.interface());
        let mut process = host.spawn(&[
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",
            "--group=root",
            "--log-facility=-",
            "--port=0",
            "--no-resolv",
            "--no-hosts",
            &interface,
            // Disables the ping probe for address conflicts, which delays the offer by three seconds.
            "--no-ping",
            "--dhcp-authoritative",
            "--dhcp-range=10.98.0.50,10.98.0.99,255.255.255.0,10m",
            "--dhcp-range=fd98::100,fd98::1ff,64,10m",
            &leases,
        ]);
        host.wait_bound(&mut process, V4);
        host.wait_bound(&mut process, V6);
        Self { _process: process, _folder: folder }
    }
}

/// Requests an IPv4 address with `udhcpc` and host name `name`, then releases it.
///
/// # Panics
/// If no address is leased.
pub fn udhcpc(host: &Namespace, name: &str) -> Outcome {
    let name = format!("hostname:{name}");
    let mut argv = vec!["udhcpc", "-i", host.interface(), "-f", "-q", "-n", "-R", "-t", "5", "-T", "1"];
    // The script would configure the address; /bin/true does not.
    argv.extend(["-s", "/bin/true", "-x", &name]);
    host.run(&argv).ok()
}

/// Requests an address of one family (`-4`, `-6`) with `dhclient`, then releases it.
///
/// # Panics
/// If no address is leased.
pub fn dhclient(host: &Namespace, family: &str) {
    host.wait_addresses();
    let folder = TempDir::new().expect("a temporary folder");
    let [leases, pid] = ["leases", "pid"].map(|name| folder.path().join(name));
    fs::write(&leases, "").expect("the temporary folder is ours");
    let files = [leases, pid].map(|file| file.to_str().expect("temporary names are UTF-8").to_owned());
    // The script would configure the address and the name servers; /bin/true does not.
    let common = ["-v", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", &files[0], "-pf", &files[1], host.interface()];

    let mut client = host.spawn(&[&["dhclient", family, "-1", "-d"], &common[..]].concat());
    client.wait_until("bound to a lease", |client| client.stderr().to_lowercase().contains("bound to "));
    // `-r` terminates the first process by its PID file and sends the release itself.
    host.run(&[&["dhclient", family, "-r"], &common[..]].concat()).ok();
}
