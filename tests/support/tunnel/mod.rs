//! A tunnel between the two hosts of a wire, with addresses of its own inside.
//!
//! VXLAN is the kernel's. GRE and IP-in-IP are made of a TUN device and a raw socket, since many small kernels come
//! without them; on the wire they look the same.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};

use crate::netns::{Namespace, Wire};
use crate::tuntap::{self, FRAME, Kind, Pump, check};

/// The device's name on both hosts.
const NAME: &str = "tunnel";
/// VXLAN network identifier.
const VNI: &str = "42";
/// RFC 2784: no checksum, version 0; the EtherType follows.
const GRE_FLAGS: [u8; 2] = [0, 0];
const ETHERTYPE_V4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_V6: [u8; 2] = [0x86, 0xdd];

/// How packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Ethernet frames in UDP, port 4789 (RFC 7348).
    Vxlan,
    /// IPv4 and IPv6 in GRE (RFC 2784).
    Gre,
    /// IPv4 in IPv4 (RFC 2003). IPv6 does not pass.
    IpInIp,
}

/// A tunnel. Dropped, it is cut.
#[derive(Debug)]
pub struct Tunnel {
    _ends: Vec<Pump>,
}

impl Tunnel {
    /// Digs one between the IPv4 addresses of the hosts.
    ///
    /// # Panics
    /// If the devices cannot be made.
    pub fn new(wire: &Wire, encapsulation: Encapsulation) -> Self {
        let (client, server) = (wire.client(), wire.server());
        let ends = [(client, server, 1), (server, client, 2)]
            .into_iter()
            .filter_map(|(here, there, number)| end(here, there, number, encapsulation))
            .collect();
        Self { _ends: ends }
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

/// One end of the tunnel, up and with its addresses.
fn end(here: &Namespace, there: &Namespace, number: u8, encapsulation: Encapsulation) -> Option<Pump> {
    let (local, remote) = (here.v4().to_string(), there.v4().to_string());
    let pump = if encapsulation == Encapsulation::Vxlan {
        let device = here.interface();
        here.ip(&[
            "link", "add", NAME, "type", "vxlan", "id", VNI, "local", &local, "remote", &remote, "dstport", "4789",
            "dev", device,
        ]);
        // As on a cable, like the wire below.
        here.run(&["ethtool", "-K", NAME, "tso", "off", "gso", "off", "gro", "off"]).ok();
        None
    } else {
        let made = here.with(|| pump(here.v4(), there.v4(), encapsulation));
        let pump = made.unwrap_or_else(|error| panic!("no tunnel in {}: {error}", here.name()));
        // Room for the headers around.
        here.ip(&["link", "set", NAME, "mtu", "1476"]);
        Some(pump)
    };
    here.ip(&["link", "set", NAME, "up"]);
    here.ip(&["addr", "add", &format!("{}/24", v4(number)), "dev", NAME]);
    here.ip(&["addr", "add", &format!("{}/64", v6(number)), "dev", NAME, "nodad"]);
    pump
}

fn pump(local: IpAddr, remote: IpAddr, encapsulation: Encapsulation) -> io::Result<Pump> {
    let (tun, wire) = (tuntap::open(NAME, Kind::Tun)?, raw_socket(local, remote, encapsulation)?);
    Ok(Pump::start(move || pass(&tun, &wire, encapsulation)))
}

/// Passes on what is there in either direction, or waits a tick.
fn pass(tun: &File, wire: &OwnedFd, encapsulation: Encapsulation) -> io::Result<()> {
    let gre = encapsulation == Encapsulation::Gre;
    let [from_host, from_wire] = tuntap::wait([tun.as_fd(), wire.as_fd()])?;
    let mut packet = vec![0; FRAME];
    if from_host {
        let length = (&*tun).read(&mut packet)?;
        packet.truncate(length);
        let version = packet.first().map_or(0, |byte| byte >> 4);
        if gre {
            let ethertype = if version == 6 { ETHERTYPE_V6 } else { ETHERTYPE_V4 };
            packet.splice(..0, [GRE_FLAGS, ethertype].concat());
        } else if version != 4 {
            return Ok(());
        }
        send(wire.as_raw_fd(), &packet, MsgFlags::empty())?;
    }
    if from_wire {
        let mut packet = vec![0; FRAME];
        let length = recv(wire.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        packet.truncate(length);
        // A raw IPv4 socket hands over the outer header too.
        let outer = packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
        let headers = outer + if gre { GRE_FLAGS.len() + ETHERTYPE_V4.len() } else { 0 };
        if let Some(inner) = packet.get(headers..) {
            (&*tun).write_all(inner)?;
        }
    }
    Ok(())
}

/// The IP protocol of the tunnel, between these two hosts.
fn raw_socket(local: IpAddr, remote: IpAddr, encapsulation: Encapsulation) -> io::Result<OwnedFd> {
    let protocol = if encapsulation == Encapsulation::Gre { libc::IPPROTO_GRE } else { libc::IPPROTO_IPIP };
    // SAFETY: socket(2) takes no pointers.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: socket(2) has just returned this descriptor; nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    for (address, call) in [(local, libc::bind as Call), (remote, libc::connect as Call)] {
        let IpAddr::V4(address) = address else { return Err(io::ErrorKind::InvalidInput.into()) };
        // SAFETY: all-zero is a valid sockaddr_in, a structure of integers and byte arrays.
        let mut at: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        at.sin_family = libc::AF_INET as libc::sa_family_t;
        at.sin_addr.s_addr = u32::from(address).to_be();
        // SAFETY: the address is a sockaddr_in of that length, which outlives the call.
        check(unsafe { call(socket.as_raw_fd(), (&raw const at).cast(), size_of_val(&at) as libc::socklen_t) })?;
    }
    Ok(socket)
}

/// bind(2) and connect(2).
type Call = unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;
