//! A tunnel with any outer headers, which a test may replace while connections use it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::socket::{MsgFlags, recv, send};

use super::{MTU, NAME, address, v4, v6};
use crate::netns::{Namespace, Wire};
use crate::outer_layer::{self, OuterLayer};
use crate::packets::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::tuntap::{self, DeviceKind, FRAME, Pump};
use crate::vlan;

/// `ETH_P_ALL`: frames of every EtherType.
const EVERY_ETHERTYPE: u16 = 3;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// A TUN device on each host of a wire. Their packets are frames on the wire, inside the outer layers.
#[derive(Debug)]
pub struct LayeredTunnel {
    layers: Arc<Mutex<Vec<OuterLayer>>>,
    _ends: [Pump; 2],
}

impl LayeredTunnel {
    /// Creates a tunnel without outer layers.
    ///
    /// # Panics
    /// If the devices cannot be created.
    pub fn new(wire: &Wire) -> Self {
        let layers = Arc::default();
        let ends = [(wire.client(), 1), (wire.server(), 2)].map(|(here, number)| end(here, number, &layers));
        Self { layers, _ends: ends }
    }

    /// Replaces the outer layers, outermost first. Endpoints are those of the client's packets.
    pub fn set(&self, layers: Vec<OuterLayer>) {
        *self.layers.lock().unwrap_or_else(PoisonError::into_inner) = layers;
    }

    /// The server's addresses inside.
    pub fn server(&self) -> [IpAddr; 2] {
        [v4(2).into(), v6(2).into()]
    }
}

/// One end.
struct LayeredEnd {
    device: File,
    wire: OwnedFd,
    /// Number of this host.
    number: u8,
    layers: Arc<Mutex<Vec<OuterLayer>>>,
}

fn end(here: &Namespace, number: u8, layers: &Arc<Mutex<Vec<OuterLayer>>>) -> Pump {
    let opened = here.with(|| {
        let device = tuntap::open(NAME, DeviceKind::Tun)?;
        let wire = vlan::raw_socket(here.interface(), EVERY_ETHERTYPE)?;
        io::Result::Ok((device, wire))
    });
    let (device, wire) = opened.unwrap_or_else(|error| panic!("no tunnel in {}: {error}", here.name()));
    here.ip(&["link", "set", NAME, "mtu", MTU]);
    address(here, number, true);
    let end = LayeredEnd { device, wire, number, layers: Arc::clone(layers) };
    Pump::start(move || end.pass())
}

impl LayeredEnd {
    /// Forwards at most one packet in each direction; waits at most one tick.
    fn pass(&self) -> io::Result<()> {
        let [from_host, from_wire] = tuntap::wait([self.device.as_fd(), self.wire.as_fd()])?;
        let mut packet = vec![0; FRAME];
        if from_host {
            let length = (&self.device).read(&mut packet)?;
            if let Some(frame) = self.wrap(&packet[..length]) {
                send(self.wire.as_raw_fd(), &frame, MsgFlags::empty())?;
            }
        }
        if from_wire {
            let length = recv(self.wire.as_raw_fd(), &mut packet, MsgFlags::empty())?;
            if let Some(inside) = self.content(&packet[..length]) {
                (&self.device).write_all(&inside)?;
            }
        }
        Ok(())
    }

    /// Returns the frame for a packet of this host.
    fn wrap(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let ethertype = match packet.first()? >> 4 {
            4 => ETHERTYPE_IPV4,
            6 => ETHERTYPE_IPV6,
            _ => return None,
        };
        let frame = [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8][..], &ethertype.to_be_bytes(), packet].concat();
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let wrap = if self.number == 1 { OuterLayer::wrap_all } else { OuterLayer::wrap_all_reversed };
        Some(wrap(&layers, frame))
    }

    /// Returns the packet of the other host in a frame. Layers have a fixed length, and the addresses show whether a packet
    /// is where they end.
    fn content(&self, frame: &[u8]) -> Option<Vec<u8>> {
        if let Some(packet) = frame.get(ETHERNET..).and_then(outer_layer::without_authentication) {
            return Some(packet);
        }
        let other = 3 - self.number;
        let (v4, v6) = (v4(other).octets(), v6(other).octets());
        let v4_packet = [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0][..], &v4, &v4].concat();
        let v6_packet = [&[0x60, 0, 0, 0, 0, 0, 6, 64][..], &v6, &v6].concat();
        for (packet, source, at) in [(v4_packet, &v4[..], 12), (v6_packet, &v6[..], 8)] {
            let outside = self.wrap(&packet)?.len() - packet.len();
            // The kernel removes an outer VLAN tag.
            for start in [outside, outside.saturating_sub(4)] {
                let inside = frame.get(start..).unwrap_or_default();
                if inside.first().map(|first| first >> 4) == packet.first().map(|first| first >> 4)
                    && inside.get(at..at + source.len()) == Some(source)
                {
                    return Some(inside.to_vec());
                }
            }
        }
        None
    }
}
