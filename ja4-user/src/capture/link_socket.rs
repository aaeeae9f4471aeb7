//! A netlink socket that lists the interfaces of the network namespace and reports every change.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send, setsockopt, socket,
    sockopt,
};

use super::interface::InterfaceError;
use super::interface_table::InterfaceTable;
use super::link_message::{LinkMessage, list_request, messages};

/// Size of the receive buffer. The kernel never sends a larger datagram than 32 KiB of a list; a notification has about
/// 2 KiB.
const BUFFER: usize = 64 << 10;

/// Bytes of notifications that the kernel queues, some thousand. If more are waiting, it drops them and reports that, and
/// the interfaces are listed again.
const QUEUE: usize = 4 << 20;

/// A socket of `NETLINK_ROUTE`.
#[derive(Debug)]
pub struct LinkSocket {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    sequence: u32,
    /// The list that is read is not complete yet.
    is_listing: bool,
    /// A list is required after that. The kernel writes one list at a time for a socket; and once it has dropped
    /// notifications, it drops further ones without a report until all waiting ones are read.
    is_outdated: bool,
    /// Notifications were lost this many times.
    overruns: u64,
}

/// What a socket has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedLinks {
    /// Messages, with their length in bytes.
    Messages(usize),
    /// The kernel dropped notifications, because too many were waiting.
    Overrun,
    /// Nothing more is waiting, so that a list can be requested.
    Drained,
    /// Nothing: a signal interrupted the wait, or another process sent something.
    Nothing,
}

impl LinkSocket {
    /// Returns the current interfaces, and a socket that receives every later change.
    ///
    /// # Errors
    /// If the interfaces cannot be listed.
    pub fn subscribe() -> Result<(Self, InterfaceTable), InterfaceError> {
        let mut opened = Self::open(libc::RTMGRP_LINK as u32).map_err(InterfaceError::List)?;
        // Without CAP_NET_ADMIN, the system limits the size.
        let forced = setsockopt(&opened.socket, sockopt::RcvBufForce, &QUEUE);
        let _sized = forced.or_else(|_| setsockopt(&opened.socket, sockopt::RcvBuf, &QUEUE));
        let table = opened.list()?;
        Ok((opened, table))
    }

    /// Returns the current interfaces.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn interfaces() -> Result<InterfaceTable, InterfaceError> {
        Self::open(0).map_err(InterfaceError::List)?.list()
    }

    fn open(groups: u32) -> nix::Result<Self> {
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Ok(Self { socket, buffer, sequence: 0, is_listing: false, is_outdated: false, overruns: 0 })
    }

    /// Reads a list.
    fn list(&mut self) -> Result<InterfaceTable, InterfaceError> {
        let mut table = InterfaceTable::default();
        self.request_list(&mut table)?;
        while self.is_listing || self.is_outdated {
            let received = self.receive()?;
            self.apply(received, &mut table)?;
        }
        Ok(table)
    }

    /// Returns how often notifications were lost.
    #[must_use]
    pub const fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Waits for a datagram. If a list is required, does not wait: first all waiting datagrams are read.
    ///
    /// # Errors
    /// If the socket cannot be read.
    pub fn receive(&mut self) -> Result<ReceivedLinks, InterfaceError> {
        if self.is_outdated && !self.is_listing && !self.has_waiting() {
            return Ok(ReceivedLinks::Drained);
        }
        match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
            // Any process may send to the socket; the kernel has port 0.
            Ok((len, Some(sender))) if sender.pid() == 0 => Ok(ReceivedLinks::Messages(len)),
            Ok(_) | Err(Errno::EINTR) => Ok(ReceivedLinks::Nothing),
            Err(Errno::ENOBUFS) => Ok(ReceivedLinks::Overrun),
            Err(error) => Err(InterfaceError::List(error)),
        }
    }

    /// Applies what was received last. If notifications were lost, or a list is inconsistent, all interfaces are listed
    /// again: the answer arrives later.
    ///
    /// # Errors
    /// If the kernel rejects the request for a list.
    pub fn apply(&mut self, received: ReceivedLinks, table: &mut InterfaceTable) -> Result<(), InterfaceError> {
        let len = match received {
            ReceivedLinks::Messages(len) => len,
            ReceivedLinks::Nothing => return Ok(()),
            ReceivedLinks::Drained => return self.request_list(table),
            ReceivedLinks::Overrun => {
                self.overruns += 1;
                self.is_outdated = true;
                return Ok(());
            }
        };
        let (mut has_ended, mut is_outdated, mut rejected) = (false, false, None);
        messages(self.buffer.get(..len).unwrap_or_default(), |message| match message {
            LinkMessage::Exists(link) => table.add(&link),
            LinkMessage::Removed(index) => table.remove(index),
            LinkMessage::ListEnd => has_ended = true,
            LinkMessage::ListInterrupted | LinkMessage::Unreadable => is_outdated = true,
            LinkMessage::Rejected(error) => rejected = Some(error),
        });
        if let Some(error) = rejected {
            return Err(InterfaceError::List(error));
        }
        self.is_outdated |= is_outdated;
        if has_ended {
            self.is_listing = false;
            if !self.is_outdated {
                table.end_list();
            }
        }
        Ok(())
    }

    /// Whether a datagram is waiting, or an error.
    fn has_waiting(&self) -> bool {
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO) != Ok(0)
    }

    fn request_list(&mut self, table: &mut InterfaceTable) -> Result<(), InterfaceError> {
        table.begin_list();
        self.sequence = self.sequence.wrapping_add(1);
        let request = list_request(self.sequence);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty()).map_err(InterfaceError::List)?;
        (self.is_listing, self.is_outdated) = (true, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::interface::Interface;

    #[test]
    fn loopback_is_recognized() {
        let table = LinkSocket::interfaces().unwrap();
        let lo = table.named("lo").unwrap();
        assert!(lo.is_loopback && lo.is_ethernet() && lo.exists());
        assert_eq!(lo.is_physical, Some(false));
    }

    #[test]
    fn the_error_of_an_unknown_name_lists_the_interfaces() {
        let table = LinkSocket::interfaces().unwrap();
        for name in ["ja4-none", "", "../lo", "a name longer than any interface has"] {
            let error = table.named(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("lo"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn another_interface_with_the_same_name_is_detected() {
        let table = LinkSocket::interfaces().unwrap();
        let lo = table.named("lo").unwrap().clone();
        assert!(!Interface { index: lo.index + 1_000_000, ..lo.clone() }.exists());
        assert!(!Interface { name: "ja4-none".to_owned(), ..lo }.exists());
    }
}
