//! A VLAN device that consists of a TAP device and a raw socket, because many small kernels lack 802.1Q. It can also
//! delay frames, because such kernels lack netem.
//!
//! The host's network stack uses the TAP device. Its frames are sent on the interface below with the tags in the packet
//! data, as on a cable. The tags of received frames are removed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::tuntap::{self, DeviceKind, FRAME, Pump};

/// 802.1Q and 802.1ad tag protocols.
const CUSTOMER: [u8; 2] = [0x81, 0x00];
const SERVICE: [u8; 2] = [0x88, 0xa8];
/// Destination and source address.
const ADDRESSES: usize = 12;
const TAG: usize = 4;

/// A running device. It is removed on drop.
#[derive(Debug)]
pub struct VlanDevice {
    _pump: Pump,
}

impl VlanDevice {
    /// Creates the device `name` above `below`, in the network namespace of the calling thread. `tags` are outermost
    /// first, and may be empty. Each frame is delayed by `delay`; frames are processed one at a time.
    ///
    /// # Errors
    /// Returns the errors of the kernel, for example if it does not support TAP devices.
    pub fn new(name: &str, below: &str, tags: &[u16], delay: Duration) -> io::Result<Self> {
        let (tap, wire) = (tuntap::open(name, DeviceKind::Tap)?, raw_socket(below, libc::ETH_P_ALL as u16)?);
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

/// Waits for a frame from either side, at most one tick, and forwards it.
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
        // The kernel has moved the outermost tag from the frame to the packet metadata.
        let left = tags.get(TAG..).unwrap_or_default();
        if frame.get(ADDRESSES..ADDRESSES + left.len()) == Some(left) {
            frame.drain(ADDRESSES..ADDRESSES + left.len());
            (&*tap).write_all(&frame)?;
        }
    }
    Ok(())
}

/// Opens a raw socket that receives the complete incoming frames of one interface and EtherType.
pub fn raw_socket(interface: &str, ethertype: u16) -> io::Result<OwnedFd> {
    // Protocol 0 until bind(2), so that no frame of another interface is received.
    // SAFETY: socket(2) takes no pointers.
    let socket = tuntap::check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: socket(2) has just returned this descriptor, which has no other owner.
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
