//! XDP programs of interfaces, from the kernel's interface list (rtnetlink(7)).

use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `RTM_NEWLINK` and `RTM_GETLINK` (include/uapi/linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;

/// `NLMSG_ERROR`.
const ERROR: u16 = 2;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;

/// `IFLA_XDP`, and inside it `IFLA_XDP_ATTACHED` and `IFLA_XDP_PROG_ID` (include/uapi/linux/if_link.h).
const XDP: u16 = 43;
const XDP_ATTACHED: u16 = 2;
const XDP_PROGRAM: u16 = 4;

/// Bytes of a message header, and of the interface data after it.
const HEADER: usize = 16;
const INTERFACE_DATA: usize = 16;

/// Most bytes of an answer: the kernel needs some KiB for an interface without virtual functions.
const MAX_ANSWER: usize = 64 << 10;

/// An XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttachedXdp {
    /// `native`, `generic`, `offloaded` or `native and generic`.
    pub(crate) mode: &'static str,
    /// Id of the program; `None`: there are several.
    pub(crate) id: Option<u32>,
}

/// Returns the XDP program of an interface; `None`: it has none.
///
/// # Errors
/// If the kernel does not answer.
pub(crate) fn attached_xdp(index: u32) -> io::Result<Option<AttachedXdp>> {
    let kind = (AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
    let link = socket(kind.0, kind.1, kind.2, kind.3)?;
    send(link.as_raw_fd(), &request(index), MsgFlags::empty())?;
    let mut answer = vec![0; MAX_ANSWER];
    let length = recv(link.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let message = answer.get(..length).unwrap_or_default();
    match short(message, 4) {
        Some(NEW_LINK) => Ok(program(message.get(HEADER + INTERFACE_DATA..).unwrap_or_default())),
        Some(ERROR) => {
            let number = word(message, HEADER).map_or(0, |number| number.wrapping_neg() as i32);
            Err(io::Error::from_raw_os_error(number))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A request for one interface.
fn request(index: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + INTERFACE_DATA);
    message.extend_from_slice(&((HEADER + INTERFACE_DATA) as u32).to_ne_bytes());
    message.extend_from_slice(&GET_LINK.to_ne_bytes());
    message.extend_from_slice(&REQUEST.to_ne_bytes());
    // Sequence number and port; family, padding and type; then the index, flags and their mask.
    message.extend_from_slice(&[0; 12]);
    message.extend_from_slice(&index.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message
}

/// The program that the attributes of an interface describe.
fn program(attributes: &[u8]) -> Option<AttachedXdp> {
    let (_, xdp) = Attributes(attributes).find(|(kind, _)| *kind == XDP)?;
    let find = |wanted| Attributes(xdp).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mode = match find(XDP_ATTACHED)?.first()? {
        1 => "native",
        2 => "generic",
        3 => "offloaded",
        4 => "native and generic",
        _ => return None,
    };
    Some(AttachedXdp { mode, id: find(XDP_PROGRAM).and_then(|value| word(value, 0)) })
}

/// The attributes of a message: type and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, kind) = (usize::from(short(self.0, 0)?), short(self.0, 2)?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two upper bits are flags.
        Some((kind & 0x3fff, value))
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use nix::net::if_::if_nametoindex;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [((4 + value.len()) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn the_attributes_give_mode_and_program() {
        let xdp = [attribute(XDP_ATTACHED, &[2]), attribute(XDP_PROGRAM, &7_u32.to_ne_bytes())].concat();
        let link = [attribute(3, b"eth0\0"), attribute(XDP | 0x8000, &xdp)].concat();
        assert_eq!(program(&link), Some(AttachedXdp { mode: "generic", id: Some(7) }));
        assert_eq!(program(&attribute(XDP, &attribute(XDP_ATTACHED, &[0]))), None);
        assert_eq!(program(&link[..link.len() - 5]), None);
        assert_eq!(program(&[]), None);
    }

    #[test]
    fn the_kernel_answers_for_loopback() {
        assert!(attached_xdp(if_nametoindex("lo").unwrap()).is_ok());
        assert_eq!(attached_xdp(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
