//! Two hosts and a wire: network namespaces joined by a veth pair. Nothing leaves the machine.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::bpf;
use crate::process::{self, Spawned};
use crate::sensor::Outcome;
use crate::vlan::VlanDevice;

/// Where ip-netns(8) keeps the names.
const NAMES: &str = "/run/netns";

/// How the wire is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout<'a> {
    /// Tags between the hosts, outermost first (802.1Q; the outer of two is 802.1ad). The addresses sit behind them.
    pub vlan: &'a [u16],
    /// Keep segmentation and tag offloads, so that frames of up to 64 KiB cross the wire and tags travel beside the packet.
    pub offloads: bool,
    /// How long each frame takes at least between a host and its end of the wire, either way.
    pub delay: Duration,
}

/// One host.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    interface: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    vlan: Option<VlanDevice>,
}

/// A client host and a server host. Dropped, both vanish with everything on them.
#[derive(Debug)]
pub struct Wire {
    client: Namespace,
    server: Namespace,
}

impl Wire {
    /// Plain Ethernet, segments as small on the host as they would be on a cable.
    ///
    /// # Panics
    /// If the hosts cannot be made.
    pub fn new() -> Self {
        Self::with(Layout::default())
    }

    /// A wire of this layout.
    ///
    /// # Panics
    /// If the hosts cannot be made.
    pub fn with(layout: Layout<'_>) -> Self {
        // Several test programs may run at once, and each has several tests.
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("ja4t{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let mut wire = Self { client: Namespace::new(&prefix, "c", 1), server: Namespace::new(&prefix, "s", 2) };

        let (client, server) = (&wire.client, &wire.server);
        for host in [client, server] {
            command(&["ip", "netns", "add", &host.name]);
        }
        command(&[
            "ip",
            "-n",
            &client.name,
            "link",
            "add",
            &client.interface,
            "type",
            "veth",
            "peer",
            "name",
            &server.interface,
            "netns",
            &server.name,
        ]);
        for host in [&mut wire.client, &mut wire.server] {
            host.bring_up(layout);
        }
        let (client, server) = (&wire.client, &wire.server);
        // Carrier takes a moment; the first SYN should not be a retransmission.
        let up = process::until(Duration::from_secs(5), || {
            [client, server].iter().all(|host| host.run(&["cat", &host.operstate()]).stdout().trim() == "up")
        });
        assert!(up, "the wire between {} and {} did not come up", client.name, server.name);
        wire
    }

    /// The host that connects.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The host that is connected to.
    pub fn server(&self) -> &Namespace {
        &self.server
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl Namespace {
    fn new(prefix: &str, side: &str, host: u8) -> Self {
        Self {
            name: format!("{prefix}{side}"),
            interface: format!("ve{side}"),
            v4: Ipv4Addr::new(10, 98, 0, host),
            v6: Ipv6Addr::new(0xfd98, 0, 0, 0, 0, 0, 0, u16::from(host)),
            vlan: None,
        }
    }

    /// Its name for ip-netns(8).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its end of the wire (the veth, beneath any VLAN device).
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> IpAddr {
        self.v4.into()
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> IpAddr {
        self.v6.into()
    }

    /// The hardware address of its end of the wire.
    ///
    /// # Panics
    /// If the kernel does not tell it.
    pub fn mac(&self) -> [u8; 6] {
        let file = format!("/sys/class/net/{}/address", self.interface);
        let text = self.run(&["cat", &file]).ok().stdout().trim().to_owned();
        let bytes: Vec<_> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hex")).collect();
        bytes.try_into().expect("six bytes")
    }

    /// `inner`, to be started on this host. `ip netns exec` becomes the program itself, so its process id is the program's.
    pub fn enter(&self, inner: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs a program here to its end.
    ///
    /// # Panics
    /// If it cannot be started or does not end in time.
    pub fn run(&self, argv: &[&str]) -> Outcome {
        Outcome::new(process::run(self.enter(&plain(argv)), &[], process::LIMIT))
    }

    /// Starts a program here that runs until it is dropped.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(&self, argv: &[&str]) -> Spawned {
        Spawned::start(self.enter(&plain(argv)))
    }

    /// Runs Rust code on a thread whose sockets belong to this host.
    ///
    /// # Panics
    /// If the host is gone, or `work` panics.
    pub fn with<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let name = File::open(format!("{NAMES}/{}", self.name)).expect("the namespace has a name");
                setns(name, CloneFlags::CLONE_NEWNET).expect("a thread of root may enter it");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Waits until something on this host listens on a TCP port. Asks the kernel, so that no packet crosses the wire.
    ///
    /// # Panics
    /// If nothing does, or `server` ends.
    pub fn wait_listening(&self, server: &mut Spawned, port: u16) {
        let filter = format!("sport = :{port}");
        server.wait_until(&format!("listening on port {port}"), |_| {
            !self.run(&["ss", "-Hltn", &filter]).stdout().trim().is_empty()
        });
    }

    /// Waits until something on this host has bound a UDP port.
    ///
    /// # Panics
    /// If nothing does, or `server` ends.
    pub fn wait_bound(&self, server: &mut Spawned, port: u16) {
        let filter = format!("sport = :{port}");
        server.wait_until(&format!("bound to port {port}"), |_| {
            !self.run(&["ss", "-Hlun", &filter]).stdout().trim().is_empty()
        });
    }

    /// Waits until every IPv6 address of this host may be used: the kernel first asks whether another host has it.
    ///
    /// # Panics
    /// If one stays tentative.
    pub fn wait_addresses(&self) {
        let list = || self.run(&["ip", "-6", "addr", "show", "dev", &self.interface]).stdout().to_owned();
        // The link-local address appears a moment after the carrier.
        let settled = process::until(Duration::from_secs(10), || {
            let list = list();
            list.contains("fe80::") && !list.contains("tentative")
        });
        assert!(settled, "an address of {} stays tentative:\n{}", self.name, list());
    }

    /// Switches an offload of the host's interface, as ethtool names it (`gro`, `tso`, `txvlan` …).
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn offload(&self, feature: &str, on: bool) {
        self.run(&["ethtool", "-K", &self.interface, feature, if on { "on" } else { "off" }]).ok();
    }

    /// Whether an XDP, tcx or tc program is on the host's interface or its loopback.
    ///
    /// # Panics
    /// If the tools that are asked fail.
    pub fn has_programs(&self) -> bool {
        let links = self.run(&["ip", "-d", "link", "show"]).ok();
        links.stdout().contains(" xdp")
            || ["ingress", "egress"].iter().any(|hook| self.filters(hook))
            || self.with(|| [&self.interface, "lo"].iter().any(|interface| bpf::tcx_programs(interface) > 0))
    }

    /// Runs `ip ARGUMENTS` for this host.
    ///
    /// # Panics
    /// If it fails.
    pub fn ip(&self, arguments: &[&str]) {
        let mut argv = vec!["ip", "-n", self.name.as_str()];
        argv.extend(arguments);
        command(&argv);
    }

    fn filters(&self, hook: &str) -> bool {
        let list = self.run(&["tc", "filter", "show", "dev", &self.interface, hook]);
        list.stdout().contains("bpf")
    }

    fn operstate(&self) -> String {
        format!("/sys/class/net/{}/operstate", self.interface)
    }

    fn bring_up(&mut self, layout: Layout<'_>) {
        let plain = layout.vlan.is_empty() && layout.delay.is_zero();
        let device = if plain { self.interface.clone() } else { "vlan".to_owned() };
        if !plain {
            let made = self.with(|| VlanDevice::new(&device, &self.interface, layout.vlan, layout.delay));
            self.vlan = Some(made.unwrap_or_else(|error| panic!("no VLAN device in {}: {error}", self.name)));
        }
        let ip = |arguments: &[&str]| self.ip(arguments);
        if !layout.offloads {
            let mut argv = vec!["ethtool", "-K", self.interface.as_str()];
            argv.extend(["tso", "off", "gso", "off", "gro", "off", "txvlan", "off"]);
            self.run(&argv).ok();
        }
        ip(&["link", "set", "lo", "up"]);
        if device != self.interface {
            // Room for the tags, and nothing of its own: every frame on the wire is tagged.
            ip(&["link", "set", &self.interface, "mtu", "1508", "addrgenmode", "none"]);
            // Without a tag the host would answer there as well.
            ip(&["link", "set", &self.interface, "arp", "off"]);
            ip(&["link", "set", &device, "up"]);
        }
        ip(&["link", "set", &self.interface, "up"]);
        ip(&["addr", "add", &format!("{}/24", self.v4), "dev", &device]);
        // nodad: an address that is still being probed cannot be bound to.
        ip(&["addr", "add", &format!("{}/64", self.v6), "dev", &device, "nodad"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may not exist yet if the wire could not be made.
        Command::new("ip").args(["netns", "del", &self.name]).output().ok();
    }
}

fn plain(argv: &[&str]) -> Command {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    command
}

fn command(argv: &[&str]) {
    Outcome::new(process::run(plain(argv), &[], process::LIMIT)).ok();
}
