//! A tunnel between the two hosts of a wire, with separate inner addresses.
//!
//! VXLAN uses the kernel's device. The others use a TUN or TAP device and a socket, because minimal kernels often lack
//! the tunnel drivers; the packets on the wire are the same.

mod end;
mod header;
mod kernel;
mod layered;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use self::kernel::KernelInterface;
pub use self::layered::LayeredTunnel;
use crate::netns::{Namespace, Wire};
use crate::process::Spawned;
use crate::tuntap::Pump;

/// Name of the interface on both hosts.
pub const NAME: &str = "tunnel";
/// VXLAN network identifier.
const VNI: &str = "42";
/// MTU inside the tunnel, bytes: leaves room for the longest outer headers in frames of 1500 bytes.
const MTU: &str = "1400";

/// Encapsulation protocol of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Ethernet frames in UDP to this port (RFC 7348).
    Vxlan(u16),
    /// IPv4 and IPv6 in GRE (RFC 2784).
    Gre,
    /// IPv4 in IPv4 (RFC 2003). IPv6 is not supported.
    IpInIp,
    /// IPv4 and IPv6 in Ethernet frames with two MPLS labels (RFC 3032).
    Mpls,
    /// ERSPAN type II: Ethernet frames in GRE with a sequence number and an 8-byte header.
    ErspanTwo,
    /// ERSPAN type III: a 12-byte header and an 8-byte platform-specific subheader.
    ErspanThree,
    /// Ethernet frames in UDP, port 6081, with an option (RFC 8926).
    Geneve,
    /// IPv4 and IPv6 in UDP, port 2152, with the PDU session container of a 5G user plane (3GPP TS 29.281).
    GtpU,
}

/// A tunnel. Dropping it stops its packet forwarding threads.
#[derive(Debug)]
pub struct LiveTunnel {
    _ends: Vec<Pump>,
    _processes: Vec<Spawned>,
}

impl LiveTunnel {
    /// Creates a tunnel between the IPv4 addresses of the hosts.
    ///
    /// # Panics
    /// If the devices cannot be created.
    pub fn new(wire: &Wire, encapsulation: Encapsulation) -> Self {
        let (client, server) = (wire.client(), wire.server());
        let ends = [(client, server, 1), (server, client, 2)]
            .into_iter()
            .filter_map(|(here, there, number)| end(here, there, number, encapsulation))
            .collect();
        Self { _ends: ends, _processes: Vec::new() }
    }

    /// The client's IPv4 address inside.
    pub fn client_v4(&self) -> IpAddr {
        v4(1).into()
    }

    /// The client's IPv6 address inside.
    pub fn client_v6(&self) -> IpAddr {
        v6(1).into()
    }

    /// The server's IPv4 address inside.
    pub fn server_v4(&self) -> IpAddr {
        v4(2).into()
    }

    /// The server's IPv6 address inside.
    pub fn server_v6(&self) -> IpAddr {
        v6(2).into()
    }
}

fn v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, host)
}

fn v6(host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, u16::from(host))
}

/// Creates one end of the tunnel, sets it up and assigns its addresses. VXLAN needs no [`Pump`].
fn end(here: &Namespace, there: &Namespace, number: u8, encapsulation: Encapsulation) -> Option<Pump> {
    let pump = if let Encapsulation::Vxlan(port) = encapsulation {
        let (local, remote) = (here.v4().to_string(), there.v4().to_string());
        let device = here.interface();
        here.ip(&[
            "link",
            "add",
            NAME,
            "type",
            "vxlan",
            "id",
            VNI,
            "local",
            &local,
            "remote",
            &remote,
            "dstport",
            &port.to_string(),
            "dev",
            device,
        ]);
        // Packets are not merged or segmented by offloads, as on the underlying wire.
        here.run(&["ethtool", "-K", NAME, "tso", "off", "gso", "off", "gro", "off"]).ok();
        None
    } else {
        let ends = end::WireEnds {
            interface: here.interface().to_owned(),
            local: here.v4(),
            remote: there.v4(),
            local_mac: here.mac(),
            remote_mac: there.mac(),
        };
        let made = here.with(|| end::pump(NAME, &ends, encapsulation));
        let pump = made.unwrap_or_else(|error| panic!("no tunnel in {}: {error}", here.name()));
        here.ip(&["link", "set", NAME, "mtu", MTU]);
        Some(pump)
    };
    address(here, number, true);
    pump
}

/// Activates the interface and assigns its addresses.
fn address(here: &Namespace, number: u8, with_v4: bool) {
    here.ip(&["link", "set", NAME, "up"]);
    if with_v4 {
        here.ip(&["addr", "add", &format!("{}/24", v4(number)), "dev", NAME]);
    }
    here.ip(&["addr", "add", &format!("{}/64", v6(number)), "dev", NAME, "nodad"]);
}
