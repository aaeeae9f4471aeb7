//! The short way out for bulk packets: the shape that nearly every packet has, judged in one
//! straight line.
//!
//! Ethernet, IPv4 without options or IPv6 without extension headers, TCP without SYN, FIN or RST,
//! of a flow that nobody knows, and no hello at its start. Anything else takes the long way, which
//! comes to the same verdict for these packets too.

use crate::flow::{Flows, hash_v4, hash_v6};
use crate::headers::{ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTO_TCP, tcp_flag};
use crate::hunger;
use crate::{Bytes, Window};

/// Bytes of an IPv4 header without options, of an IPv6 header, of a TCP header without options.
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;

/// Flags that make a TCP packet more than bulk.
const NOT_BULK: u8 = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;

/// Whether the frame is certainly a bulk packet of an unknown flow.
#[inline(always)]
pub(crate) fn is_bulk_of_stranger<B: Bytes, F: Flows>(frame: &B, flows: &F, seed: [u64; 2]) -> bool {
    let Some(h) = frame.window::<{ ETHERNET + IPV4 + TCP }>(0) else {
        return false;
    };
    match h.be16::<12>() {
        ETHERTYPE_IPV4 => {
            // Version 4 and five words of header; neither fragment offset nor more-fragments.
            let plain = h.be8::<14>() == 0x45 && h.be16::<20>() & 0x3fff == 0 && h.be8::<23>() == PROTO_TCP;
            if !plain || h.be8::<47>() & NOT_BULK != 0 {
                return false;
            }
            let hash = hash_v4(h.be32::<26>(), h.be16::<34>(), h.be32::<30>(), h.be16::<36>(), PROTO_TCP, seed);
            if flows.maybe(hash) {
                return false;
            }
            let announced = usize::from(h.be16::<16>());
            is_no_hello(frame, ETHERNET + IPV4, announced.wrapping_sub(IPV4), h.be8::<46>())
        }
        ETHERTYPE_IPV6 => {
            let Some(h) = frame.window::<{ ETHERNET + IPV6 + TCP }>(0) else {
                return false;
            };
            let plain = h.be8::<14>() >> 4 == 6 && h.be8::<20>() == PROTO_TCP;
            if !plain || h.be8::<67>() & NOT_BULK != 0 {
                return false;
            }
            let src = [h.be64::<22>(), h.be64::<30>()];
            let dst = [h.be64::<38>(), h.be64::<46>()];
            let hash = hash_v6(src, h.be16::<54>(), dst, h.be16::<56>(), PROTO_TCP, seed);
            if flows.maybe(hash) {
                return false;
            }
            is_no_hello(frame, ETHERNET + IPV6, usize::from(h.be16::<18>()), h.be8::<66>())
        }
        _ => false,
    }
}

/// Whether the lengths are in order and the payload does not begin with a hello. `len` bytes are
/// announced from the TCP header on.
#[inline(always)]
fn is_no_hello<B: Bytes>(frame: &B, l4: usize, len: usize, offset: u8) -> bool {
    let header = usize::from(offset >> 4) * 4;
    if header < TCP || header > len || len > usize::from(u16::MAX) {
        return false;
    }
    let payload = len - header;
    // Too short for a hello, as the long way sees it.
    if payload < hunger::SHORTEST_HELLO as usize {
        return true;
    }
    match frame.window::<8>(l4 + header) {
        Some(first) => hunger::is_hello(first.be64::<0>()).is_none(),
        None => false,
    }
}
