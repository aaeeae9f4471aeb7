//! A VLAN device made of a TAP device and a raw socket, since many small kernels come without 802.1Q.
//!
//! The host's stack speaks through the TAP device. What it sends goes out of the interface below with the tags in the
//! packet itself, as on a cable; what comes in loses its tags again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

/// 802.1Q and 802.1ad tag protocols.
const CUSTOMER: [u8; 2] = [0x81, 0x00];
const SERVICE: [u8; 2] = [0x88, 0xa8];
/// Destination and source address.
const ADDRESSES: usize = 12;
const TAG: usize = 4;
/// Larger than any frame: offloads are off where tags are used.
const FRAME: usize = 65_536;
/// How soon a device that is dropped is gone.
const TICK_MILLIS: u16 = 100;

/// A running device. Dropped, it vanishes.
#[derive(Debug)]
pub struct VlanDevice {
    stop: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl VlanDevice {
    /// Makes the device `name` above `below`, in the network namespace of the calling thread. `tags` are outermost first.
    ///
    /// # Errors
    /// Those of the kernel, for instance when it has no TAP devices.
    pub fn new(name: &str, below: &str, tags: &[u16]) -> io::Result<Self> {
        let (tap, wire) = (tap(name)?, raw_socket(below)?);
        let tags: Vec<u8> = tags
            .iter()
            .enumerate()
            .flat_map(|(depth, tag)| {
                let protocol = if depth + 1 < tags.len() { SERVICE } else { CUSTOMER };
                let [high, low] = tag.to_be_bytes();
                [protocol[0], protocol[1], high, low]
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pump = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if pass(&tap, &wire, &tags).is_err() {
                    // An end that is down, as both are at first, or gone; then nothing is left to do but to be stopped.
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Ok(Self { stop, pump: Some(pump) })
    }
}

impl Drop for VlanDevice {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(pump) = self.pump.take() {
            pump.join().ok();
        }
    }
}

/// Passes on what is there in either direction, or waits a tick.
fn pass(tap: &File, wire: &OwnedFd, tags: &[u8]) -> io::Result<()> {
    let mut ends = [PollFd::new(tap.as_fd(), PollFlags::POLLIN), PollFd::new(wire.as_fd(), PollFlags::POLLIN)];
    poll(&mut ends, PollTimeout::from(TICK_MILLIS))?;
    let [from_host, from_wire] = ends.map(|end| end.any().unwrap_or(false));
    let mut frame = vec![0; FRAME];
    if from_host {
        let length = (&*tap).read(&mut frame)?;
        frame.truncate(length);
        frame.splice(ADDRESSES..ADDRESSES, tags.iter().copied());
        send(wire.as_raw_fd(), &frame, MsgFlags::empty())?;
    } else if from_wire {
        let length = recv(wire.as_raw_fd(), &mut frame, MsgFlags::empty())?;
        frame.truncate(length);
        // The kernel has taken the outermost tag off and put it beside the packet.
        let left = &tags[TAG..];
        if frame.get(ADDRESSES..ADDRESSES + left.len()) == Some(left) {
            frame.drain(ADDRESSES..ADDRESSES + left.len());
            (&*tap).write_all(&frame)?;
        }
    }
    Ok(())
}

/// A TAP device without packet information; it lives as long as the file.
fn tap(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all-zero is a valid ifreq, a structure of integers and byte arrays.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Whole frames of one interface, those that come in.
fn raw_socket(interface: &str) -> io::Result<OwnedFd> {
    let everything = (libc::ETH_P_ALL as u16).to_be();
    // Protocol 0 at first: nothing is received before the interface is chosen.
    // SAFETY: socket(2) takes no pointers.
    let socket = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: socket(2) has just returned this descriptor; nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };

    let on: libc::c_int = 1;
    // SAFETY: the option's value is one c_int, which outlives the call.
    check(unsafe {
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
    address.sll_protocol = everything;
    address.sll_ifindex = if_nametoindex(interface)? as i32;
    // SAFETY: the address is a sockaddr_ll of that length, which outlives the call.
    check(unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    })?;
    Ok(socket)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
