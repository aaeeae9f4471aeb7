//! Two hosts and a wire: network namespaces connected by a veth pair. No packet leaves the machine.

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

/// Directory of the namespaces that ip-netns(8) has named.
const NAMES: &str = "/run/netns";

/// Configuration of a wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct WireLayout<'a> {
    /// VLAN tags between the hosts, outermost first (802.1Q; the outer of two is 802.1ad). The IP addresses are
    /// assigned to the VLAN devices.
    pub vlan: &'a [u16],
    /// Keeps segmentation and tag offloads, so that frames of up to 64 KiB cross the wire and VLAN tags are packet
    /// metadata.
    pub offloads: bool,
    /// Minimum delay of each frame between a host and its end of the wire, in either direction.
    pub delay: Duration,
}

/// A host: one network namespace.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    interface: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    vlan: Option<VlanDevice>,
}

/// A client host and a server host. Both are deleted on drop, with their devices.
#[derive(Debug)]
pub struct Wire {
    client: Namespace,
    server: Namespace,
}

impl Wire {
    /// Creates a wire with plain Ethernet and without segmentation offloads, so that segments fit the MTU.
    ///
    /// # Panics
    /// If the hosts cannot be created.
    pub fn new() -> Self {
        Self::with(WireLayout::default())
    }

    /// Creates a wire with this layout.
    ///
    /// # Panics
    /// If the hosts cannot be created.
    pub fn with(layout: WireLayout<'_>) -> Self {
        // Unique names: several test programs may run at once, each with several tests.
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
        // The carrier comes up with a delay. Without this wait the first SYN might be lost and retransmitted.
        let up = process::until(Duration::from_secs(5), || {
            [client, server].iter().all(|host| host.run(&["cat", &host.operstate()]).stdout().trim() == "up")
        });
        assert!(up, "the wire between {} and {} did not come up", client.name, server.name);
        wire
    }

    /// Returns the client host.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Returns the server host.
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

    /// Returns the name for ip-netns(8).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the host's veth interface (below any VLAN device).
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Returns the IPv4 address.
    pub fn v4(&self) -> IpAddr {
        self.v4.into()
    }

    /// Returns the IPv6 address.
    pub fn v6(&self) -> IpAddr {
        self.v6.into()
    }

    /// Returns the MAC address of the veth interface.
    ///
    /// # Panics
    /// If the address cannot be read from sysfs.
    pub fn mac(&self) -> [u8; 6] {
        let file = format!("/sys/class/net/{}/address", self.interface);
        let text = self.run(&["cat", &file]).ok().stdout().trim().to_owned();
        let bytes: Vec<_> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hex")).collect();
        bytes.try_into().expect("six bytes")
    }

    /// Returns `inner` as a command that runs on this host. `ip netns exec` replaces itself with the program, so the
    /// process ID of the command is that of the program.
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

    /// Returns `inner` as a command that runs in the network namespace of this host, with the files of the machine. `ip netns
    /// exec` mounts another `/sys`, without control groups.
    pub fn enter_network(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={NAMES}/{}", self.name)).arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Runs a program on this host until it exits.
    ///
    /// # Panics
    /// If the program cannot be started or does not exit in time.
    pub fn run(&self, argv: &[&str]) -> Outcome {
        Outcome::new(process::run(self.enter(&plain(argv)), &[], process::LIMIT))
    }

    /// Starts a program on this host; it is killed when the result is dropped.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn spawn(&self, argv: &[&str]) -> Spawned {
        Spawned::start(self.enter(&plain(argv)))
    }

    /// Runs `work` on a thread in the network namespace of this host.
    ///
    /// # Panics
    /// If the namespace does not exist, or `work` panics.
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

    /// Waits until a program on this host listens on a TCP port. Queries the kernel, so no packet crosses the wire.
    ///
    /// # Panics
    /// If no program does in time, or `server` exits.
    pub fn wait_listening(&self, server: &mut Spawned, port: u16) {
        let filter = format!("sport = :{port}");
        server.wait_until(&format!("listening on port {port}"), |_| {
            !self.run(&["ss", "-Hltn", &filter]).stdout().trim().is_empty()
        });
    }

    /// Waits until a program on this host has bound a UDP port.
    ///
    /// # Panics
    /// If no program does in time, or `server` exits.
    pub fn wait_bound(&self, server: &mut Spawned, port: u16) {
        let filter = format!("sport = :{port}");
        server.wait_until(&format!("bound to port {port}"), |_| {
            !self.run(&["ss", "-Hlun", &filter]).stdout().trim().is_empty()
        });
    }

    /// Waits until duplicate address detection is done for every IPv6 address of this host.
    ///
    /// # Panics
    /// If an address stays tentative, or there is no link-local address in time.
    pub fn wait_addresses(&self) {
        let list = || self.run(&["ip", "-6", "addr", "show", "dev", &self.interface]).stdout().to_owned();
        // The kernel adds the link-local address shortly after the carrier is up.
        let settled = process::until(Duration::from_secs(10), || {
            let list = list();
            list.contains("fe80::") && !list.contains("tentative")
        });
        assert!(settled, "an address of {} stays tentative:\n{}", self.name, list());
    }

    /// Switches an offload of the host's interface on or off, by its ethtool name (`gro`, `tso`, `txvlan` …).
    ///
    /// # Panics
    /// If ethtool fails.
    pub fn offload(&self, feature: &str, on: bool) {
        self.run(&["ethtool", "-K", &self.interface, feature, if on { "on" } else { "off" }]).ok();
    }

    /// Returns whether an XDP, tcx or tc program is attached to the host's veth interface or its loopback interface, and stays
    /// attached for half a second: a child of another thread inherits the descriptors of programs until it is executed.
    ///
    /// # Panics
    /// If the query of the interfaces fails.
    pub fn has_programs(&self) -> bool {
        !process::until(Duration::from_millis(500), || !self.has_programs_now())
    }

    fn has_programs_now(&self) -> bool {
        let links = self.run(&["ip", "-d", "link", "show"]).ok();
        links.stdout().contains(" xdp")
            || ["ingress", "egress"].iter().any(|hook| self.filters(hook))
            || self.with(|| [&self.interface, "lo"].iter().any(|interface| bpf::tcx_programs(interface) > 0))
    }

    /// Runs `ip ARGUMENTS` for this host.
    ///
    /// # Panics
    /// If the command fails.
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

    fn bring_up(&mut self, layout: WireLayout<'_>) {
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
            // MTU with room for the tags, and no address: every frame on the wire is tagged.
            ip(&["link", "set", &self.interface, "mtu", "1508", "addrgenmode", "none"]);
            // With ARP enabled the host would also reply to untagged requests on this interface.
            ip(&["link", "set", &self.interface, "arp", "off"]);
            ip(&["link", "set", &device, "up"]);
        }
        ip(&["link", "set", &self.interface, "up"]);
        ip(&["addr", "add", &format!("{}/24", self.v4), "dev", &device]);
        // nodad: a tentative address cannot be bound, so duplicate address detection is skipped.
        ip(&["addr", "add", &format!("{}/64", self.v6), "dev", &device, "nodad"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The namespace does not exist if the creation of the wire failed early.
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
