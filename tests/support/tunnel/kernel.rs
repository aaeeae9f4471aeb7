//! Interfaces of the kernel between the two hosts of a wire: IP tunnels, WireGuard, PPP, bonding.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{LiveTunnel, NAME, address, v4};
use crate::netns::{Namespace, Wire};
use crate::privilege;
use crate::process::{self, Spawned};

/// Environment variable. If it is set, a test fails where the kernel has no such interface.
const REQUIRE_INTERFACES: &str = "JA4_TEST_REQUIRE_INTERFACES";

/// Kind of interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelInterface {
    /// IPv4 in IPv4.
    IpInIp,
    /// IPv4 and IPv6 in GRE over IPv4.
    Gre,
    /// IPv4 and IPv6 in IPv4.
    Sit,
    /// IPv4 and IPv6 in IPv6.
    IpInIp6,
    /// IPv4 and IPv6 in GRE over IPv6.
    Gre6,
    /// WireGuard.
    WireGuard,
    /// PPP over a pair of terminals.
    Ppp,
    /// Ethernet: a bond of one interface.
    Bond,
}

impl KernelInterface {
    /// Arguments of `ip link add NAME` for `here`.
    fn link(self, here: &Namespace, there: &Namespace) -> Vec<String> {
        let over = |kind: &str, v6: bool| {
            let (local, remote) = if v6 { (here.v6(), there.v6()) } else { (here.v4(), there.v4()) };
            format!("type {kind} local {local} remote {remote}")
        };
        let arguments = match self {
            Self::IpInIp => over("ipip", false),
            Self::Gre => over("gre", false),
            Self::Sit => over("sit", false) + " mode any",
            Self::IpInIp6 => over("ip6tnl", true) + " mode any",
            Self::Gre6 => over("ip6gre", true),
            Self::WireGuard => "type wireguard".to_owned(),
            Self::Bond => "type bond mode active-backup".to_owned(),
            Self::Ppp => String::new(),
        };
        arguments.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether it carries IPv6.
    pub fn carries_v6(self) -> bool {
        self != Self::IpInIp
    }
}

impl LiveTunnel {
    /// Creates the interface `tunnel` on both hosts. Returns `None`, and reports the test as skipped, if this kernel has no such
    /// interface or a tool is missing.
    ///
    /// # Panics
    /// If the interfaces cannot be set up, or something is missing that must not be.
    pub fn of_kernel(wire: &Wire, kind: KernelInterface) -> Option<Self> {
        let skipped = || {
            assert!(
                std::env::var_os(REQUIRE_INTERFACES).is_none(),
                "{REQUIRE_INTERFACES} is set: no {kind:?} interfaces"
            );
            privilege::skipped(&format!("{kind:?} interfaces"));
        };
        let hosts = [(wire.client(), wire.server()), (wire.server(), wire.client())];
        let processes = if kind == KernelInterface::Ppp {
            let (here, _) = hosts[0];
            here.run(&["modprobe", "--quiet", "ppp_async"]);
            if !Path::new("/dev/ppp").exists() {
                skipped();
                return None;
            }
            privilege::require_tools(&["pppd", "socat"]).then(|| ppp(hosts))?
        } else {
            for (here, there) in hosts {
                let mut arguments = vec!["ip".to_owned(), "link".to_owned(), "add".to_owned(), NAME.to_owned()];
                arguments.extend(kind.link(here, there));
                let argv: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let added = here.run(&argv);
                if added.stderr().contains("Unknown device type") {
                    skipped();
                    return None;
                }
                added.ok();
            }
            Vec::new()
        };
        match kind {
            KernelInterface::WireGuard => privilege::require_tools(&["wg"]).then(|| wire_guard(hosts))?,
            KernelInterface::Bond => {
                for (here, _) in hosts {
                    here.ip(&["link", "set", here.interface(), "down"]);
                    here.ip(&["link", "set", here.interface(), "master", NAME]);
                }
            }
            _ => {}
        }
        for (number, (here, _)) in (1..).zip(hosts) {
            address(here, number, kind != KernelInterface::Ppp);
        }
        Some(Self { _ends: Vec::new(), _processes: processes })
    }
}

/// Gives both ends a key, and each the address of the other.
fn wire_guard(hosts: [(&Namespace, &Namespace); 2]) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = |here: &Namespace| folder.path().join(here.name()).display().to_string();
    let public = hosts.map(|(here, _)| {
        let script = "umask 077; wg genkey > \"$0\"; wg pubkey < \"$0\"";
        here.run(&["sh", "-c", script, &file(here)]).ok().stdout().trim().to_owned()
    });
    for ((here, there), peer) in hosts.into_iter().zip(public.iter().rev()) {
        let (key, endpoint) = (file(here), format!("{}:51820", there.v4()));
        here.run(&[
            "wg",
            "set",
            NAME,
            "listen-port",
            "51820",
            "private-key",
            &key,
            "peer",
            peer,
            "allowed-ips",
            "0.0.0.0/0,::/0",
            "endpoint",
            &endpoint,
        ])
        .ok();
    }
}

/// Starts PPP over a pair of pseudo terminals.
fn ppp(hosts: [(&Namespace, &Namespace); 2]) -> Vec<Spawned> {
    let (here, _) = hosts[0];
    let folder = TempDir::new().expect("a temporary folder");
    let terminals = hosts.map(|(here, _)| folder.path().join(here.name()).display().to_string());
    let ends = terminals.each_ref().map(|name| format!("pty,link={name},raw,echo=0"));
    let mut socat = here.spawn(&["socat", &ends[0], &ends[1]]);
    socat.wait_until("a pair of terminals", |_| terminals.iter().all(|name| Path::new(name).exists()));
    let mut processes = vec![socat];
    for ((number, (here, _)), terminal) in (1..).zip(hosts).zip(&terminals) {
        let addresses = format!("{}:{}", v4(number), v4(3 - number));
        processes.push(here.spawn(&[
            "pppd",
            terminal,
            "115200",
            "nodetach",
            "nolock",
            "noauth",
            "local",
            "nocrtscts",
            "nodefaultroute",
            "+ipv6",
            "ifname",
            NAME,
            "logfd",
            "2",
            &addresses,
        ]));
    }
    for (here, _) in hosts {
        let up = process::until(Duration::from_secs(60), || {
            here.run(&["ip", "addr", "show", "dev", NAME]).stdout().contains("inet 10.99.0.")
        });
        let errors: Vec<_> = processes.iter().map(Spawned::stderr).collect();
        assert!(up, "PPP is not connected: {errors:#?}");
    }
    processes
}
