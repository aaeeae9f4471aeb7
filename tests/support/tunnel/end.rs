//! One end of a tunnel: a TUN or TAP device for the inner packets, a socket for the outer packets.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};

use super::Encapsulation;
use crate::tuntap::{self, FRAME, Pump, check};
use crate::vlan;

const GENEVE_PORT: u16 = 6081;
const GTP_U_PORT: u16 = 2152;
const ETHERTYPE_MPLS: u16 = 0x8847;

/// Addresses of the two ends of the wire.
#[derive(Debug)]
pub(super) struct WireEnds {
    pub(super) interface: String,
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    pub(super) local_mac: [u8; 6],
    pub(super) remote_mac: [u8; 6],
}

/// Creates the device `name` in the network namespace of the calling thread, and forwards packets between it and the
/// wire.
///
/// # Errors
/// A system call failed.
pub(super) fn pump(name: &str, ends: &WireEnds, encapsulation: Encapsulation) -> io::Result<Pump> {
    let device = tuntap::open(name, encapsulation.inside())?;
    let mut wire = Outside::open(ends, encapsulation)?;
    Ok(Pump::start(move || pass(&device, &mut wire, encapsulation)))
}

/// Forwards at most one packet in each direction; waits at most one tick.
fn pass(device: &File, wire: &mut Outside, encapsulation: Encapsulation) -> io::Result<()> {
    let [from_host, from_wire] = tuntap::wait([device.as_fd(), wire.socket.as_fd()])?;
    let mut packet = vec![0; FRAME];
    if from_host {
        let length = (&*device).read(&mut packet)?;
        let inside = &packet[..length];
        if let Some(header) = encapsulation.header(inside, wire.sent) {
            wire.sent += 1;
            let outside = [&wire.front, &header, inside].concat();
            send(wire.socket.as_raw_fd(), &outside, MsgFlags::empty())?;
        }
    }
    if from_wire {
        let length = recv(wire.socket.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        let packet = &packet[..length];
        // A raw IPv4 socket also returns the outer IPv4 header.
        let outer = if wire.has_ip { packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4) } else { 0 };
        let behind = packet.get(outer + wire.front.len()..).unwrap_or_default();
        if let Some(inside) = encapsulation.content(behind) {
            (&*device).write_all(inside)?;
        }
    }
    Ok(())
}

/// Socket for the outer packets.
struct Outside {
    socket: OwnedFd,
    /// Bytes before the tunnel header that the kernel does not add: the Ethernet header of MPLS frames.
    front: Vec<u8>,
    /// Received packets begin with an IPv4 header.
    has_ip: bool,
    sent: u32,
}

impl Outside {
    fn open(ends: &WireEnds, encapsulation: Encapsulation) -> io::Result<Self> {
        let mut front = Vec::new();
        let mut has_ip = false;
        let mut raw = |protocol| {
            has_ip = true;
            raw_socket(ends, protocol)
        };
        let socket = match encapsulation {
            Encapsulation::Vxlan(_) => return Err(io::ErrorKind::Unsupported.into()),
            Encapsulation::IpInIp => raw(libc::IPPROTO_IPIP)?,
            Encapsulation::Gre | Encapsulation::ErspanTwo | Encapsulation::ErspanThree => raw(libc::IPPROTO_GRE)?,
            Encapsulation::Geneve => udp_socket(ends, GENEVE_PORT)?,
            Encapsulation::GtpU => udp_socket(ends, GTP_U_PORT)?,
            Encapsulation::Mpls => {
                front = [&ends.remote_mac[..], &ends.local_mac, &ETHERTYPE_MPLS.to_be_bytes()].concat();
                vlan::raw_socket(&ends.interface, ETHERTYPE_MPLS)?
            }
        };
        Ok(Self { socket, front, has_ip, sent: 0 })
    }
}

/// Opens a UDP socket connected to the remote host, with the same port on both sides.
fn udp_socket(ends: &WireEnds, port: u16) -> io::Result<OwnedFd> {
    let socket = UdpSocket::bind((ends.local, port))?;
    socket.connect((ends.remote, port))?;
    Ok(socket.into())
}

/// Opens a raw IPv4 socket for `protocol`, connected to the remote host.
fn raw_socket(ends: &WireEnds, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointers.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: socket(2) has just returned this descriptor; it has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    for (address, call) in [(ends.local, libc::bind as Call), (ends.remote, libc::connect as Call)] {
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

/// Signature of bind(2) and connect(2).
type Call = unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;
