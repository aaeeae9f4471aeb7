//! Network interfaces of the network namespace of the calling thread.
//!
//! rtnetlink always refers to that namespace. `/sys/class/net` refers to the namespace in which it was mounted, and may be
//! missing in a container; it is used only if index and hardware address match.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;

use super::link_message::{AttachedXdp, ReportedLink};

/// `ARPHRD_ETHER`: frames have an Ethernet header.
pub(crate) const ARPHRD_ETHER: u16 = 1;

/// `ARPHRD_LOOPBACK`: Linux gives these frames an Ethernet header.
pub(crate) const ARPHRD_LOOPBACK: u16 = 772;

/// `ARPHRD_*` of interfaces with frames that start with an IP header (Linux 6.18: include/uapi/linux/if_arp.h).
const IP_LINK_TYPES: [u16; 8] = [
    0xfffe, // ARPHRD_NONE: tun, WireGuard, XFRM
    512,    // ARPHRD_PPP: the kernel adds and removes the PPP header behind the hooks
    519,    // ARPHRD_RAWIP: cellular modems
    768,    // ARPHRD_TUNNEL: IP in IPv4, VTI
    769,    // ARPHRD_TUNNEL6: IP in IPv6
    776,    // ARPHRD_SIT: IPv6 in IPv4
    778,    // ARPHRD_IPGRE
    823,    // ARPHRD_IP6GRE
];

/// Why an interface was not found.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No interface has the name.
    #[error("cannot find interface {name:?}; expected one of {}", existing.join(", "))]
    NoSuch {
        /// The name.
        name: String,
        /// The existing interfaces, in the order of the kernel.
        existing: Vec<String>,
    },
    /// Exclusions leave none.
    #[error("every selected interface is excluded with '!'")]
    Excluded,
    /// The interfaces cannot be listed.
    #[error("cannot list the network interfaces: {}", .0.desc())]
    List(#[source] Errno),
}

/// An interface at the time of the lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index in the kernel; a reused name gets another index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is a loopback interface: each sent packet is received again.
    pub is_loopback: bool,
    /// Whether it is activated (`IFF_UP`).
    pub is_up: bool,
    /// Whether it is a physical device, so that its driver may support native XDP. `None`: unknown.
    pub is_physical: Option<bool>,
    /// `ARPHRD_*`.
    pub link_type: u16,
    /// Its MTU; 0: unknown.
    pub mtu: u32,
    /// Its XDP program.
    pub(crate) xdp: Option<AttachedXdp>,
}

impl Interface {
    /// Returns an interface that the kernel describes.
    pub(super) fn new(link: &ReportedLink<'_>) -> Self {
        Self {
            index: link.index,
            name: link.name.to_owned(),
            is_loopback: link.is_loopback,
            is_up: link.is_up,
            is_physical: if link.is_loopback { Some(false) } else { has_device(link) },
            link_type: link.link_type,
            mtu: link.mtu,
            xdp: link.xdp,
        }
    }

    /// Returns the interface with changed properties. Whether it is a physical device never changes.
    pub(super) fn changed(&self, link: &ReportedLink<'_>) -> Self {
        let ReportedLink { name, is_up, link_type, mtu, xdp, .. } = *link;
        Self { name: name.to_owned(), is_up, link_type, mtu, xdp, ..*self }
    }

    /// Whether the interface still exists: the same interface, not another one with its name.
    pub fn exists(&self) -> bool {
        if_nametoindex(self.name.as_str()) == Ok(self.index)
    }

    /// Whether frames have an Ethernet header.
    pub fn is_ethernet(&self) -> bool {
        matches!(self.link_type, ARPHRD_ETHER | ARPHRD_LOOPBACK)
    }

    /// Whether frames can be read: they start with an Ethernet header or an IP header.
    pub fn is_supported(&self) -> bool {
        self.is_ethernet() || IP_LINK_TYPES.contains(&self.link_type)
    }
}

/// Whether an interface has a device, from `/sys/class/net`; `None`: unknown.
fn has_device(link: &ReportedLink<'_>) -> Option<bool> {
    let folder = PathBuf::from("/sys/class/net").join(link.name);
    let line = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).ok()?;
        Some(text.trim().to_owned())
    };
    // An interface of another namespace may have the same name and index, but hardly the same address.
    let address: Vec<_> = link.address.iter().map(|byte| format!("{byte:02x}")).collect();
    let is_ours = line("ifindex")?.parse() == Ok(link.index) && line("address")? == address.join(":");
    is_ours.then(|| folder.join("device").exists())
}
