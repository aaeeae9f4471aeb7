//! Network interfaces of the network namespace of the calling thread.
//!
//! Name, index, flags and the type of a link with an address come from getifaddrs(3), which always refers to the namespace
//! of the thread. `/sys/class/net` refers to the namespace in which it was mounted, and may be missing in a container; it
//! is used only if index and hardware address match.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

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
    /// Largest packet in bytes, without the link header. `None`: unknown.
    pub mtu: Option<u32>,
    /// `ARPHRD_*`. `None`: it has no link-layer address, so it is not Ethernet, and `/sys` has no type.
    pub link_type: Option<u16>,
}

impl Interface {
    /// Returns the interface of a name.
    ///
    /// # Errors
    /// If there is none; the error names the existing interfaces.
    pub fn find(name: &str) -> Result<Self, InterfaceError> {
        let mut interfaces = Self::all()?;
        match interfaces.iter().position(|interface| interface.name == name) {
            Some(position) => Ok(interfaces.swap_remove(position)),
            None => Err(InterfaceError::NoSuch {
                name: name.to_owned(),
                existing: interfaces.into_iter().map(|interface| interface.name).collect(),
            }),
        }
    }

    /// Returns all interfaces, in the order of the kernel.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        let mut interfaces: Vec<Self> = Vec::new();
        for entry in getifaddrs().map_err(InterfaceError::List)? {
            // An address label such as `eth0:1` is not an interface.
            let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else {
                continue;
            };
            // The first entry describes the link, further ones addresses.
            if interfaces.iter().any(|known| known.index == index) {
                continue;
            }
            let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
            let hint = Sysfs::read(&entry.interface_name, index, link.and_then(|link| link.addr()));
            let is_loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            interfaces.push(Self {
                index,
                is_loopback,
                is_up: entry.flags.contains(InterfaceFlags::IFF_UP),
                is_physical: if is_loopback { Some(false) } else { hint.as_ref().map(|hint| hint.has_device) },
                mtu: hint.as_ref().and_then(|hint| hint.mtu),
                link_type: link.map(|link| link.hatype()).or(hint.as_ref().and_then(|hint| hint.link_type)),
                name: entry.interface_name,
            });
        }
        Ok(interfaces)
    }

    /// Whether the interface still exists: the same interface, not another one with its name.
    pub fn exists(&self) -> bool {
        if_nametoindex(self.name.as_str()) == Ok(self.index)
    }

    /// Whether frames have an Ethernet header.
    pub fn is_ethernet(&self) -> bool {
        matches!(self.link_type, Some(ARPHRD_ETHER | ARPHRD_LOOPBACK))
    }

    /// Whether frames can be read: they start with an Ethernet header or an IP header. Few interfaces without a link-layer
    /// address carry anything but IP.
    pub fn is_supported(&self) -> bool {
        self.is_ethernet() || self.link_type.is_none_or(|number| IP_LINK_TYPES.contains(&number))
    }
}

/// Properties from `/sys/class/net`.
struct Sysfs {
    has_device: bool,
    mtu: Option<u32>,
    link_type: Option<u16>,
}

impl Sysfs {
    fn read(name: &str, index: u32, address: Option<[u8; 6]>) -> Option<Self> {
        let folder = PathBuf::from("/sys/class/net").join(name);
        let line = |file: &str| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            Some(text.trim().to_owned())
        };
        // An interface of another namespace may have the same name and index, but hardly the same address.
        let is_ours = line("ifindex")?.parse() == Ok(index)
            && address.is_none_or(|address| {
                let text: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
                line("address").is_some_and(|theirs| theirs.starts_with(&text.join(":")))
            });
        is_ours.then(|| Self {
            has_device: folder.join("device").exists(),
            mtu: line("mtu").and_then(|text| text.parse().ok()),
            link_type: line("type").and_then(|text| text.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognized() {
        let lo = Interface::find("lo").unwrap();
        assert!(lo.is_loopback && lo.is_ethernet() && lo.exists());
        assert_eq!(lo.is_physical, Some(false));
        assert_eq!(Interface::all().unwrap().iter().filter(|interface| interface.name == "lo").count(), 1);
    }

    #[test]
    fn the_error_of_an_unknown_name_lists_the_interfaces() {
        for name in ["ja4-none", "", "../lo", "a name longer than any interface has"] {
            let error = Interface::find(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("lo"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn another_interface_with_the_same_name_is_detected() {
        let lo = Interface::find("lo").unwrap();
        assert!(!Interface { index: lo.index + 1_000_000, ..lo.clone() }.exists());
        assert!(!Interface { name: "ja4-none".to_owned(), ..lo }.exists());
    }
}
