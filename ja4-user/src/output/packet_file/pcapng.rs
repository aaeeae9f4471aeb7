//! Blocks of pcapng files (draft-ietf-opsawg-pcapng-02).
//!
//! A section has one interface description for each interface of the run, in the order of their numbers, after one for
//! packets of an unknown interface.

use ja4_common::parse::ParseStart;
use ja4_common::record::flag;
use ja4_common::vlan::VLAN_PRESENT;

use crate::packet::Packet;

/// Block types.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// LINKTYPE_ETHERNET. Frames without an Ethernet header get one with addresses of zeros, so that one file has one link type.
const ETHERNET: u16 = 1;

/// Bytes of the addresses in an Ethernet header.
const ADDRESSES: usize = 12;

/// EtherType of a VLAN tag (IEEE 802.1Q).
const VLAN: [u8; 2] = [0x81, 0x00];

/// The identifier within a VLAN tag.
const VLAN_IDENTIFIER: u16 = 0x0fff;

/// Options.
const END_OF_OPTIONS: u16 = 0;
const INTERFACE_NAME: u16 = 2;
const APPLICATION: u16 = 4;
const TIME_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

/// Values of the direction in [`PACKET_FLAGS`].
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Appends a section header.
pub(super) fn section(out: &mut Vec<u8>) {
    block(out, SECTION_HEADER, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        // Version 1.0, and a section of unknown length.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        option(out, APPLICATION, concat!("ja4sensor ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(out, END_OF_OPTIONS, &[]);
    });
}

/// Appends the description of an interface.
pub(super) fn interface(name: Option<&str>, out: &mut Vec<u8>) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend_from_slice(&ETHERNET.to_le_bytes());
        // Reserved, and no limit of the captured length.
        out.extend_from_slice(&[0; 6]);
        if let Some(name) = name {
            option(out, INTERFACE_NAME, name.as_bytes());
        }
        // Times are in units of 10^-9 s.
        option(out, TIME_RESOLUTION, &[9]);
        option(out, END_OF_OPTIONS, &[]);
    });
}

/// Appends a packet. `interface`: the number of its description in the section.
pub(super) fn packet(packet: &Packet<'_>, interface: u32, out: &mut Vec<u8>) {
    let header = packet.header;
    let (link, rest) = match packet.start {
        ParseStart::Ethernet => packet.bytes.split_at_checked(ADDRESSES).unwrap_or((packet.bytes, &[])),
        ParseStart::Network { offset, .. } => (&[0; ADDRESSES][..], packet.bytes.get(offset..).unwrap_or_default()),
    };
    let tag = (header.vlan & VLAN_PRESENT != 0).then_some(header.vlan & VLAN_IDENTIFIER);
    let ethertype = match packet.start {
        ParseStart::Ethernet => None,
        ParseStart::Network { ethertype, .. } => Some(ethertype),
    };
    let captured = link.len()
        + rest.len()
        + tag.map_or(0, |_| VLAN.len() + size_of::<u16>())
        + ethertype.map_or(0, |_| size_of::<u16>());
    // A link header that was replaced or removed changes the length.
    let wire = (header.wire_len as usize + captured).saturating_sub(packet.bytes.len());
    block(out, ENHANCED_PACKET, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        out.extend_from_slice(&((header.time >> 32) as u32).to_le_bytes());
        out.extend_from_slice(&(header.time as u32).to_le_bytes());
        out.extend_from_slice(&(captured as u32).to_le_bytes());
        out.extend_from_slice(&(wire.max(captured) as u32).to_le_bytes());
        out.extend_from_slice(link);
        if let Some(tag) = tag {
            out.extend_from_slice(&VLAN);
            out.extend_from_slice(&tag.to_be_bytes());
        }
        if let Some(ethertype) = ethertype {
            out.extend_from_slice(&ethertype.to_be_bytes());
        }
        out.extend_from_slice(rest);
        pad(out, captured);
        if packet.number.is_none() {
            let direction = if header.flags & flag::EGRESS != 0 { OUTBOUND } else { INBOUND };
            option(out, PACKET_FLAGS, &direction.to_le_bytes());
            option(out, END_OF_OPTIONS, &[]);
        }
    });
}

/// Appends a block with this body, and its length before and after it.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = ((out.len() - start + size_of::<u32>()) as u32).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(field) = out.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&length);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// Appends zeros after `length` bytes, up to a multiple of four.
fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + length.next_multiple_of(4) - length, 0);
}
