//! A VLAN device made of a TAP device and a raw socket, since many small kernels come without 802.1Q, and without netem:
//! it may take its time, too.
//!
//! The host's stack speaks through the TAP device. What it sends goes out of the interface below with the tags in the
//! packet itself, as on a cable; what comes in loses its tags again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::tuntap::{self, FRAME, Kind, Pump};

/// 802.1Q and 802.1ad tag protocols.
const CUSTOMER: [u8; 2] = [0x81, 0x00];
const SERVICE: [u8; 2] = [0x88, 0xa8];
/// Destination and source address.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// A running device. Dropped, it vanishes.
#[derive(Debug)]
pub struct VlanDevice {
    _pump: Pump,
}

impl VlanDevice {
    /// Makes the device `name` above `below`, in the network namespace of the calling thread. `tags` are outermost first,
    /// and may be none. Each frame takes `delay`, one after the other.
    ///
    /// # Errors
    /// Those of the kernel, for instance when it has no TAP devices.
    pub fn new(name: &str, below: &str, tags: &[u16], delay: Duration) -> io::Result<Self> {
        let (tap, wire) = (tuntap::open(name, Kind::Tap)?, raw_socket(below, libc::ETH_P_ALL as u16)?);
        let tags: Vec<u8> = tags
            .iter()
            .enumerate()
            .flat_map(|(depth, tag)| {
                let protocol = if depth + 1 < tags.len() { SERVICE } else { CUSTOMER };
                let [high, low] = tag.to_be_bytes();
                [protocol[0], protocol[1], high, low]
            })
            .collect();
        Ok(Self { _pump: Pump::start(move || pass(&tap, &wire, &tags, delay)) })
    }
}

/// Passes on what is there in either direction, or waits a tick.
fn pass(tap: &File, wire: &OwnedFd, tags: &[u8], delay: Duration) -> io::Result<()> {
    let [from_host, from_wire] = tuntap::wait([tap.as_fd(), wire.as_fd()])?;
    let mut frame = vec![0; FRAME];
    if from_host || from_wire {
        thread::sleep(delay);
    }
    if from_host {
        let length = (&*tap).read(&mut frame)?;
        frame.truncate(length);
        frame.splice(ADDRESSES..ADDRESSES, tags.iter().copied());
        send(wire.as_raw_fd(), &frame, MsgFlags::empty())?;
    } else if from_wire {
        let length = recv(wire.as_raw_fd(), &mut frame, MsgFlags::empty())?;
        frame.truncate(length);
        // The kernel has taken the outermost tag off and put it beside the packet.
        let left = tags.get(TAG..).unwrap_or_default();
        if frame.get(ADDRESSES..ADDRESSES + left.len()) == Some(left) {
            frame.drain(ADDRESSES..ADDRESSES + left.len());
            (&*tap).write_all(&frame)?;
        }
    }
    Ok(())
}

/// Whole frames of one interface and EtherType, those that come in.
pub(crate) fn raw_socket(interface: &str, ethertype: u16) -> io::Result<OwnedFd> {
    // Protocol 0 at first: nothing is received before the interface is chosen.
    // SAFETY: socket(2) takes no pointers.
    let socket = tuntap::check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: socket(2) has just returned this descriptor; nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };

    let on: libc::c_int = 1;
    // SAFETY: the option's value is one c_int, which outlives the call.
    tuntap::check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    })?;
    // SAFETY: all-zero is a valid sockaddr_ll, a structure of integers and byte arrays.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = if_nametoindex(interface)? as i32;
    // SAFETY: the address is a sockaddr_ll of that length, which outlives the call.
    tuntap::check(unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    })?;
    Ok(socket)
}
