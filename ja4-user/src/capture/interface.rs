//! A network interface: what its name means in the network namespace of the calling thread.
//!
//! Name, index, flags and link type come from the kernel by way of getifaddrs(3), which always speaks
//! of the thread's own namespace. `/sys/class/net` speaks of the namespace it was mounted in and may be
//! absent from a container, so it is believed only where index and hardware address agree.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// `ARPHRD_ETHER`: the frames begin with an Ethernet header.
pub const ARPHRD_ETHER: u16 = 1;

/// `ARPHRD_LOOPBACK`: Linux gives these frames an Ethernet header, too.
pub const ARPHRD_LOOPBACK: u16 = 772;

/// Why there is no such interface.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// Nothing has that name.
    #[error("no interface {name:?}; there are: {}", existing.join(", "))]
    NoSuch {
        /// What was looked for.
        name: String,
        /// What is there, in the kernel's order.
        existing: Vec<String>,
    },
    /// The kernel does not list its interfaces.
    #[error("cannot list the network interfaces: {}", .0.desc())]
    List(#[source] Errno),
}

/// An interface as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it; a name that is used again gets another one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether every packet that it sends comes back in.
    pub is_loopback: bool,
    /// Whether a device stands behind it, so that its driver may offer native XDP. `None`: not known.
    pub is_physical: Option<bool>,
    /// Largest packet in bytes, without the link header. `None`: not known.
    pub mtu: Option<u32>,
    /// `ARPHRD_*`. `None` for one without a link-layer address, which therefore is no Ethernet.
    pub link_type: Option<u16>,
}

impl Interface {
    /// The interface of that name.
    ///
    /// # Errors
    /// Where there is none; the error names those that exist.
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

    /// Every interface, in the kernel's order.
    ///
    /// # Errors
    /// Where the kernel does not list them.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        let mut interfaces: Vec<Self> = Vec::new();
        for entry in getifaddrs().map_err(InterfaceError::List)? {
            // An address label such as `eth0:1` is no interface.
            let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else {
                continue;
            };
            // One entry speaks of the link, each further one of an address.
            if interfaces.iter().any(|known| known.index == index) {
                continue;
            }
            let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
            let hint = Sysfs::read(&entry.interface_name, index, link.and_then(|link| link.addr()));
            let is_loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            interfaces.push(Self {
                index,
                is_loopback,
                is_physical: if is_loopback { Some(false) } else { hint.as_ref().map(|hint| hint.has_device) },
                mtu: hint.as_ref().and_then(|hint| hint.mtu),
                link_type: link.map(|link| link.hatype()),
                name: entry.interface_name,
            });
        }
        Ok(interfaces)
    }

    /// Whether it still exists: the same interface under the same name, not one that took the name over.
    pub fn still_there(&self) -> bool {
        if_nametoindex(self.name.as_str()) == Ok(self.index)
    }

    /// Whether its frames begin with an Ethernet header.
    pub fn is_ethernet(&self) -> bool {
        matches!(self.link_type, Some(ARPHRD_ETHER | ARPHRD_LOOPBACK))
    }
}

/// What `/sys/class/net` adds.
struct Sysfs {
    has_device: bool,
    mtu: Option<u32>,
}

impl Sysfs {
    fn read(name: &str, index: u32, address: Option<[u8; 6]>) -> Option<Self> {
        let folder = PathBuf::from("/sys/class/net").join(name);
        let line = |file: &str| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            Some(text.trim().to_owned())
        };
        // An interface of another namespace may have the same name and number by chance, hardly the address.
        let is_ours = line("ifindex")?.parse() == Ok(index)
            && address.is_none_or(|address| {
                let text: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
                line("address").is_some_and(|theirs| theirs.starts_with(&text.join(":")))
            });
        is_ours.then(|| Self {
            has_device: folder.join("device").exists(),
            mtu: line("mtu").and_then(|text| text.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_for_what_it_is() {
        let lo = Interface::find("lo").unwrap();
        assert!(lo.is_loopback && lo.is_ethernet() && lo.still_there());
        assert_eq!(lo.is_physical, Some(false));
        assert_eq!(Interface::all().unwrap().iter().filter(|interface| interface.name == "lo").count(), 1);
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        for name in ["ja4-none", "", "../lo", "a name longer than any interface has"] {
            let error = Interface::find(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("lo"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_name_that_was_taken_over_is_another_interface() {
        let lo = Interface::find("lo").unwrap();
        assert!(!Interface { index: lo.index + 1_000_000, ..lo.clone() }.still_there());
        assert!(!Interface { name: "ja4-none".to_owned(), ..lo }.still_there());
    }
}
