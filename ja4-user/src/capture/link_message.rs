//! Messages of rtnetlink about interfaces: the request for a list, its answers, and notifications.
//!
//! Formats: netlink(7) and rtnetlink(7); `include/uapi/linux/netlink.h` and `if_link.h` of Linux 6.18.

use libc::{
    AF_UNSPEC, IFF_LOOPBACK, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_XDP, NLM_F_DUMP, NLM_F_DUMP_INTR,
    NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK,
};
use nix::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bit mask of the type of an attribute, without the flags in the upper bits (`NLA_TYPE_MASK`).
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// LinkAttributes inside `IFLA_XDP`.
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct MessageHeader {
    len: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

/// `struct ifinfomsg`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct InterfaceInfo {
    family: u8,
    padding: u8,
    link_type: u16,
    index: u32,
    flags: u32,
    changed: u32,
}

/// `struct rtattr`.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct AttributeHeader {
    len: u16,
    kind: u16,
}

/// An XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttachedXdp {
    /// `native`, `generic`, `offloaded` or `native and generic`.
    pub(crate) mode: &'static str,
    /// Id of the program; `None`: there are several.
    pub(crate) id: Option<u32>,
}

/// An interface in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReportedLink<'a> {
    /// Its index in the kernel.
    pub(super) index: u32,
    /// Its name.
    pub(super) name: &'a str,
    /// `ARPHRD_*`.
    pub(super) link_type: u16,
    /// Whether it is up (`IFF_UP`).
    pub(super) is_up: bool,
    /// Whether it is a loopback interface.
    pub(super) is_loopback: bool,
    /// Its link-layer address; empty if it has none.
    pub(super) address: &'a [u8],
    /// Its MTU; 0: unknown.
    pub(super) mtu: u32,
    /// Its XDP program.
    pub(super) xdp: Option<AttachedXdp>,
}

/// A message about interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkMessage<'a> {
    /// An interface exists: it was listed, has appeared, or has changed.
    Exists(ReportedLink<'a>),
    /// The interface with this index was deleted or moved to another network namespace.
    Removed(u32),
    /// The list is complete.
    ListEnd,
    /// The list is inconsistent, because interfaces changed while it was written.
    ListInterrupted,
    /// The kernel rejected the request.
    Rejected(Errno),
    /// Part of the datagram cannot be read.
    Unreadable,
}

/// Returns the request for a list of all interfaces.
pub(super) fn list_request(sequence: u32) -> Vec<u8> {
    let len = size_of::<MessageHeader>() + size_of::<InterfaceInfo>();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP) as u16;
    let header = MessageHeader { len: len as u32, kind: RTM_GETLINK, flags, sequence, port: 0 };
    let link = InterfaceInfo { family: AF_UNSPEC as u8, padding: 0, link_type: 0, index: 0, flags: 0, changed: 0 };
    [header.as_bytes(), link.as_bytes()].concat()
}

/// Calls `found` for each message about interfaces in a datagram.
pub(super) fn messages<'a>(mut datagram: &'a [u8], mut found: impl FnMut(LinkMessage<'a>)) {
    while !datagram.is_empty() {
        let message = MessageHeader::read_from_prefix(datagram).ok().and_then(|(header, _)| {
            let len = header.len as usize;
            Some((header, datagram.get(size_of::<MessageHeader>()..len)?, len))
        });
        let Some((header, body, len)) = message else {
            return found(LinkMessage::Unreadable);
        };
        if i32::from(header.flags) & NLM_F_DUMP_INTR != 0 {
            found(LinkMessage::ListInterrupted);
        }
        match header.kind {
            RTM_NEWLINK | RTM_DELLINK => link_message(header.kind, body).into_iter().for_each(&mut found),
            kind if i32::from(kind) == NLMSG_DONE => found(LinkMessage::ListEnd),
            kind if i32::from(kind) == NLMSG_ERROR => {
                // 0 is an acknowledgment.
                let number = i32::read_from_prefix(body).map_or(0, |(number, _)| number);
                if number != 0 {
                    found(LinkMessage::Rejected(Errno::from_raw(number.saturating_neg())));
                }
            }
            _ => {}
        }
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Reads a message about one interface. Bridges send such messages about their ports, with an address family; these are
/// skipped.
fn link_message(kind: u16, body: &[u8]) -> Option<LinkMessage<'_>> {
    let Ok((header, attributes)) = InterfaceInfo::read_from_prefix(body) else {
        return Some(LinkMessage::Unreadable);
    };
    if i32::from(header.family) != AF_UNSPEC {
        return None;
    }
    if kind == RTM_DELLINK {
        return Some(LinkMessage::Removed(header.index));
    }
    let (mut name, mut address, mut mtu, mut xdp) = (None, &[][..], 0, None);
    for attribute in LinkAttributes(attributes) {
        let Some((kind, value)) = attribute else {
            return Some(LinkMessage::Unreadable);
        };
        match kind {
            IFLA_IFNAME => name = value.strip_suffix(b"\0").and_then(|name| str::from_utf8(name).ok()),
            IFLA_ADDRESS => address = value,
            IFLA_MTU => mtu = number(value).unwrap_or_default(),
            IFLA_XDP => xdp = attached_xdp(value),
            _ => {}
        }
    }
    // A name that is not UTF-8 can neither be configured nor printed.
    Some(LinkMessage::Exists(ReportedLink {
        index: header.index,
        name: name?,
        link_type: header.link_type,
        is_up: header.flags & IFF_UP as u32 != 0,
        is_loopback: header.flags & IFF_LOOPBACK as u32 != 0,
        address,
        mtu,
        xdp,
    }))
}

/// Reads the value of `IFLA_XDP`.
fn attached_xdp(value: &[u8]) -> Option<AttachedXdp> {
    let find = |wanted| LinkAttributes(value).flatten().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mode = match find(IFLA_XDP_ATTACHED)?.first()? {
        1 => "native",
        2 => "generic",
        3 => "offloaded",
        4 => "native and generic",
        _ => return None,
    };
    Some(AttachedXdp { mode, id: find(IFLA_XDP_PROG_ID).and_then(number) })
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::read_from_prefix(value).ok()?.0)
}

/// The attributes of a message: type and value; `None` and the end for one that cannot be read.
struct LinkAttributes<'a>(&'a [u8]);

impl<'a> Iterator for LinkAttributes<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (AttributeHeader { len, kind }, _) = AttributeHeader::read_from_prefix(self.0).ok()?;
        let len = usize::from(len);
        let Some(value) = self.0.get(size_of::<AttributeHeader>()..len) else {
            self.0 = &[];
            return Some(None);
        };
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Some((kind & ATTRIBUTE_TYPE, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(4 + value.len() as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, flags: i32, body: &[u8]) -> Vec<u8> {
        let len = (size_of::<MessageHeader>() + body.len()) as u32;
        let header = MessageHeader { len, kind, flags: flags as u16, sequence: 1, port: 0 };
        [header.as_bytes(), body].concat()
    }

    fn link(family: i32, index: u32, attributes: &[u8]) -> Vec<u8> {
        let header =
            InterfaceInfo { family: family as u8, padding: 0, link_type: 1, index, flags: IFF_UP as u32, changed: 0 };
        [header.as_bytes(), attributes].concat()
    }

    fn eth0() -> Vec<u8> {
        let xdp = [attribute(IFLA_XDP_ATTACHED, &[2]), attribute(IFLA_XDP_PROG_ID, &9_u32.to_ne_bytes())].concat();
        let attributes = [
            attribute(IFLA_ADDRESS, &[2; 6]),
            attribute(IFLA_IFNAME, b"eth0\0"),
            attribute(IFLA_MTU, &1500_u32.to_ne_bytes()),
            // The flag of nested attributes (`NLA_F_NESTED`).
            attribute(IFLA_XDP | 0x8000, &xdp),
        ]
        .concat();
        link(AF_UNSPEC, 7, &attributes)
    }

    const ETH0: ReportedLink<'static> = ReportedLink {
        index: 7,
        name: "eth0",
        link_type: 1,
        is_up: true,
        is_loopback: false,
        address: &[2; 6],
        mtu: 1500,
        xdp: Some(AttachedXdp { mode: "generic", id: Some(9) }),
    };

    fn read(datagram: &[u8]) -> Vec<LinkMessage<'_>> {
        let mut all = Vec::new();
        messages(datagram, |message| all.push(message));
        all
    }

    #[test]
    fn every_message_of_a_datagram_is_read() {
        let datagram = [
            message(RTM_NEWLINK, 0, &eth0()),
            message(RTM_DELLINK, 0, &link(AF_UNSPEC, 8, &[])),
            message(RTM_NEWLINK, NLM_F_DUMP_INTR, &eth0()),
            message(NLMSG_ERROR as u16, 0, &(-libc::EBUSY).to_ne_bytes()),
            message(NLMSG_ERROR as u16, 0, &0_i32.to_ne_bytes()),
            message(NLMSG_DONE as u16, 0, &[0; 4]),
        ]
        .concat();
        let expected = [
            LinkMessage::Exists(ETH0),
            LinkMessage::Removed(8),
            LinkMessage::ListInterrupted,
            LinkMessage::Exists(ETH0),
            LinkMessage::Rejected(Errno::EBUSY),
            LinkMessage::ListEnd,
        ];
        assert_eq!(read(&datagram), expected);
    }

    #[test]
    fn a_port_that_leaves_its_bridge_still_exists() {
        let left = message(RTM_DELLINK, 0, &link(libc::AF_BRIDGE, 7, &attribute(IFLA_IFNAME, b"eth0\0")));
        assert_eq!(read(&left), []);
    }

    #[test]
    fn an_interface_without_xdp_has_no_program() {
        assert_eq!(attached_xdp(&attribute(IFLA_XDP_ATTACHED, &[0])), None);
        assert_eq!(attached_xdp(&attribute(IFLA_XDP_ATTACHED, &[2])[..3]), None);
        assert_eq!(attached_xdp(&[]), None);
    }

    #[test]
    fn a_cut_datagram_is_detected() {
        let datagram = message(RTM_NEWLINK, 0, &eth0());
        for len in 1..datagram.len() {
            let found = read(&datagram[..len]);
            assert_eq!(found, [LinkMessage::Unreadable], "{len}");
        }
    }
}
