//! A link from one interface of the client to two interfaces of the server. Frames to the server alternate between the
//! two interfaces, as with bonding in round-robin mode or with per-packet ECMP.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;

use crate::netns::{Namespace, Wire};
use crate::tuntap::{self, DeviceKind, FRAME, Pump};

/// Interface of the client.
const FAR: &str = "far";
/// Interfaces of the server.
pub const SERVER_INTERFACES: [&str; 2] = ["near0", "near1"];

const FAR_MAC: &str = "02:00:00:00:77:01";
/// MAC address of both server interfaces, so that each accepts all frames sent to the server.
const NEAR_MAC: &str = "02:00:00:00:77:02";

/// A link with two server interfaces, in addition to the wire between the hosts. It is removed on drop.
#[derive(Debug)]
pub struct RoundRobinLink {
    _pump: Pump,
}

impl RoundRobinLink {
    /// Creates the link between the hosts of `wire`.
    ///
    /// # Panics
    /// If the devices cannot be created.
    pub fn new(wire: &Wire) -> Self {
        let (client, server) = (wire.client(), wire.server());
        let open = |host: &Namespace, name: &str| host.with(|| tuntap::open(name, DeviceKind::Tap)).expect("a device");
        let far = open(client, FAR);
        let near = SERVER_INTERFACES.map(|name| open(server, name));
        client.ip(&["link", "set", FAR, "address", FAR_MAC]);
        for name in SERVER_INTERFACES {
            server.ip(&["link", "set", name, "address", NEAR_MAC]);
            server.ip(&["link", "set", name, "up"]);
            // Packets are accepted on both interfaces, whichever route the reply takes.
            server.run(&["sysctl", "-qw", &format!("net.ipv4.conf.{name}.rp_filter=0")]).ok();
        }
        server.run(&["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0"]).ok();
        client.ip(&["link", "set", FAR, "up"]);
        client.ip(&["addr", "add", "10.77.0.1/24", "dev", FAR]);
        server.ip(&["addr", "add", "10.77.0.2/24", "dev", SERVER_INTERFACES[0]]);
        client.ip(&["neigh", "replace", "10.77.0.2", "lladdr", NEAR_MAC, "dev", FAR]);
        server.ip(&["neigh", "replace", "10.77.0.1", "lladdr", FAR_MAC, "dev", SERVER_INTERFACES[0]]);
        let mut turn = 0;
        Self { _pump: Pump::start(move || pass(&far, &near, &mut turn)) }
    }

    /// Returns the server's address.
    pub fn server(&self) -> IpAddr {
        Ipv4Addr::new(10, 77, 0, 2).into()
    }
}

/// Waits for frames, at most one tick, and forwards them.
fn pass(far: &File, near: &[File; 2], turn: &mut usize) -> io::Result<()> {
    let [first, second] = near;
    let [from_far, from_first, from_second] = tuntap::wait([far.as_fd(), first.as_fd(), second.as_fd()])?;
    let mut frame = vec![0; FRAME];
    let mut carry = |mut from: &File, mut to: &File| {
        let length = from.read(&mut frame)?;
        to.write_all(&frame[..length])
    };
    if from_far {
        *turn += 1;
        carry(far, if turn.is_multiple_of(2) { first } else { second })?;
    }
    if from_first {
        carry(first, far)?;
    }
    if from_second {
        carry(second, far)?;
    }
    Ok(())
}
