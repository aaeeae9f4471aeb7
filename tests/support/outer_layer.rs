//! Tunnel encapsulation of frames, as added by providers, data centres and traffic mirrors.

use std::net::{IpAddr, SocketAddr};

use crate::datagram::Datagram;
use crate::packets::{
    Checksum, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Envelope, ethernet, ip,
};

/// IP protocol numbers.
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
/// Ethertypes.
const MPLS: u16 = 0x8847;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
/// Destination ports of UDP tunnels. The source port is from the dynamic range.
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;
const GTP_U_PORT: u16 = 2152;
const SOURCE_PORT: u16 = 50_001;

/// TTL of the outer header. It differs from every inner TTL of the tests, so that a mix-up is detected.
const TTL: u8 = 33;

/// One layer of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OuterLayer {
    /// A stack of 20-bit labels between the link header and the IP header (RFC 3032), outermost first.
    Mpls(Vec<u32>),
    /// An outer packet between two tunnel endpoints.
    Tunnel {
        /// The endpoint on the client's side.
        from: IpAddr,
        /// The endpoint on the server's side, of the same address family.
        to: IpAddr,
        /// The encapsulation.
        kind: TunnelKind,
    },
}

/// Encapsulation of a packet in an outer packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// IPv4 or IPv6 directly after the outer IPv4 or IPv6 header (RFC 2003, 4213, 2473).
    Ip,
    /// GRE with an IP packet as payload (RFC 2784).
    Gre(Gre),
    /// GRE with an Ethernet frame as payload.
    GreEthernet(Gre),
    /// ERSPAN type II with this session ID: GRE with a sequence number, ERSPAN header, Ethernet frame.
    Erspan(u16),
    /// VXLAN (RFC 7348) with this 24-bit network identifier.
    Vxlan(u32),
    /// Geneve (RFC 8926).
    Geneve {
        /// Virtual network identifier, 24 bits.
        vni: u32,
        /// Options: class, type and data. The data length is a multiple of 4 bytes, at most 124.
        options: Vec<(u16, u8, Vec<u8>)>,
        /// Whether the payload is an Ethernet frame; otherwise it is an IP packet.
        ethernet: bool,
    },
    /// A G-PDU of GTP-U (3GPP TS 29.281).
    GtpU {
        /// Tunnel endpoint identifier.
        teid: u32,
        /// Optional sequence number.
        sequence: Option<u16>,
        /// Extension headers: type and content. The content length is 2 bytes plus a multiple of 4.
        extensions: Vec<(u8, Vec<u8>)>,
    },
}

/// The optional fields of a GRE header (RFC 2784, RFC 2890).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gre {
    /// Whether the header has a checksum.
    pub checksum: bool,
    /// Key.
    pub key: Option<u32>,
    /// Sequence number.
    pub sequence: Option<u32>,
}

impl OuterLayer {
    /// Returns a tunnel between two addresses.
    ///
    /// # Panics
    /// If `from` or `to` is not an IP address.
    pub fn between(from: &str, to: &str, kind: TunnelKind) -> Self {
        let end = |ip: &str| ip.parse().expect("an address");
        Self::Tunnel { from: end(from), to: end(to), kind }
    }

    /// Encapsulates the Ethernet frame. VLAN tags are outside MPLS labels and inside tunnels that carry Ethernet
    /// frames; other tunnels carry only the IP packet.
    ///
    /// # Panics
    /// If the result does not fit an IP packet.
    pub fn wrap(&self, frame: &[u8]) -> Vec<u8> {
        match self {
            Self::Mpls(labels) => mpls(labels, frame),
            Self::Tunnel { from, to, kind } => kind.wrap((*from, *to), frame),
        }
    }

    /// Returns the layer of the reverse direction.
    pub fn reversed(&self) -> Self {
        match self.clone() {
            Self::Mpls(labels) => Self::Mpls(labels),
            Self::Tunnel { from, to, kind } => Self::Tunnel { from: to, to: from, kind },
        }
    }

    /// Encapsulates the frame in all of `layers`, outermost first.
    pub fn wrap_all(layers: &[Self], frame: Vec<u8>) -> Vec<u8> {
        layers.iter().rev().fold(frame, |frame, layer| layer.wrap(&frame))
    }

    /// Encapsulates the frame in all of `layers` of the reverse direction, outermost first.
    pub fn wrap_all_reversed(layers: &[Self], frame: Vec<u8>) -> Vec<u8> {
        layers.iter().rev().fold(frame, |frame, layer| layer.reversed().wrap(&frame))
    }
}

impl TunnelKind {
    fn wrap(&self, ends: (IpAddr, IpAddr), frame: &[u8]) -> Vec<u8> {
        let (ethertype, packet) = ip_packet(frame);
        match self {
            Self::Ip if ethertype == ETHERTYPE_IPV4 => within(ends, IPV4, packet),
            Self::Ip => within(ends, IPV6, packet),
            Self::Gre(fields) => within(ends, GRE, &fields.wrap(ethertype, &[], packet)),
            Self::GreEthernet(fields) => within(ends, GRE, &fields.wrap(TRANSPARENT_ETHERNET, &[], frame)),
            Self::Erspan(session) => {
                let [high, low] = session.to_be_bytes();
                // Version 1 (type II), VLAN 0, class of service 0, index 7.
                let header = [0x10, 0, high & 0x03, low, 0, 0, 0, 7];
                let fields = Gre { sequence: Some(1), ..Gre::default() };
                within(ends, GRE, &fields.wrap(ERSPAN, &header, frame))
            }
            Self::Vxlan(vni) => {
                let header = [0x0800_0000_u32.to_be_bytes(), (vni << 8).to_be_bytes()].concat();
                within_udp(ends, VXLAN_PORT, &[&header, frame].concat())
            }
            Self::Geneve { vni, options, ethernet } => {
                let mut fields = Vec::new();
                for (class, kind, data) in options {
                    assert!(data.len() <= 124 && data.len().is_multiple_of(4), "an option of {} bytes", data.len());
                    fields.extend_from_slice(&class.to_be_bytes());
                    fields.extend_from_slice(&[*kind, (data.len() / 4) as u8]);
                    fields.extend_from_slice(data);
                }
                assert!(fields.len() < 64 * 4, "options of {} bytes", fields.len());
                let (protocol, content) = if *ethernet { (TRANSPARENT_ETHERNET, frame) } else { (ethertype, packet) };
                let [high, low] = protocol.to_be_bytes();
                let mut header = vec![(fields.len() / 4) as u8, 0, high, low];
                header.extend_from_slice(&(vni << 8).to_be_bytes());
                within_udp(ends, GENEVE_PORT, &[&header, &fields, content].concat())
            }
            Self::GtpU { teid, sequence, extensions } => {
                within_udp(ends, GTP_U_PORT, &gtp_u(*teid, *sequence, extensions, packet))
            }
        }
    }
}

impl Gre {
    /// Returns the GRE header followed by `header` and `content`.
    fn wrap(self, protocol: u16, header: &[u8], content: &[u8]) -> Vec<u8> {
        const CHECKSUM: u16 = 0x8000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;

        let bit = |is: bool, bit| if is { bit } else { 0 };
        let flags =
            bit(self.checksum, CHECKSUM) | bit(self.key.is_some(), KEY) | bit(self.sequence.is_some(), SEQUENCE);
        let mut out = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        if self.checksum {
            out.extend_from_slice(&[0; 4]);
        }
        for field in [self.key, self.sequence].into_iter().flatten() {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(header);
        out.extend_from_slice(content);
        if self.checksum {
            let mut sum = Checksum::default();
            sum.add(&out);
            out[4..6].copy_from_slice(&sum.value());
        }
        out
    }
}

fn gtp_u(teid: u32, sequence: Option<u16>, extensions: &[(u8, Vec<u8>)], packet: &[u8]) -> Vec<u8> {
    /// Version 1; protocol type GTP (not GTP').
    const VERSION: u8 = 0x30;
    const EXTENDED: u8 = 0x04;
    const NUMBERED: u8 = 0x02;
    const G_PDU: u8 = 255;

    let mut flags = VERSION;
    let mut behind = Vec::new();
    if sequence.is_some() || !extensions.is_empty() {
        // The optional fields (four bytes) are all present if one of them is used.
        behind.extend_from_slice(&sequence.unwrap_or_default().to_be_bytes());
        behind.push(0);
        behind.push(extensions.first().map_or(0, |(kind, _)| *kind));
    }
    flags |= if sequence.is_some() { NUMBERED } else { 0 };
    flags |= if extensions.is_empty() { 0 } else { EXTENDED };
    let following = extensions.iter().skip(1).map(|(kind, _)| *kind).chain([0]);
    for ((_, content), next) in extensions.iter().zip(following) {
        assert!((content.len() + 2).is_multiple_of(4), "an extension of {} bytes", content.len());
        behind.push(((content.len() + 2) / 4) as u8);
        behind.extend_from_slice(content);
        behind.push(next);
    }
    let mut out = vec![flags, G_PDU];
    out.extend_from_slice(&crate::packets::length(behind.len() + packet.len()));
    out.extend_from_slice(&teid.to_be_bytes());
    out.extend_from_slice(&behind);
    out.extend_from_slice(packet);
    out
}

/// Inserts a label stack between the frame's link header and its packet, and sets the ethertype.
fn mpls(labels: &[u32], frame: &[u8]) -> Vec<u8> {
    let (inner, packet) = ip_packet(frame);
    let mut out = frame[..frame.len() - packet.len()].to_vec();
    let place = out.len() - 2;
    out[place..].copy_from_slice(&MPLS.to_be_bytes());
    for (depth, label) in labels.iter().enumerate() {
        let bottom = u32::from(depth + 1 == labels.len() && inner != MPLS);
        out.extend_from_slice(&((label << 12) | (bottom << 8) | u32::from(TTL)).to_be_bytes());
    }
    out.extend_from_slice(packet);
    out
}

/// Returns a new frame with an IP header followed by `content`.
fn within(ends: (IpAddr, IpAddr), protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ethernet(ends, &Envelope::default(), &mut out);
    ip(ends, TTL, content.len() as u16, protocol, content.len(), &[], &mut out);
    out.extend_from_slice(content);
    out
}

fn within_udp((from, to): (IpAddr, IpAddr), port: u16, payload: &[u8]) -> Vec<u8> {
    Datagram { from: SocketAddr::new(from, SOURCE_PORT), to: SocketAddr::new(to, port), ttl: TTL, payload }.frame()
}

/// Returns the ethertype after the VLAN tags of a frame and the bytes that follow it: an IP packet, or MPLS labels and
/// an IP packet.
pub(crate) fn ip_packet(frame: &[u8]) -> (u16, &[u8]) {
    let mut at = 12;
    loop {
        let ethertype = u16::from_be_bytes([frame[at], frame[at + 1]]);
        match ethertype {
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => at += 4,
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | MPLS => return (ethertype, &frame[at + 2..]),
            other => panic!("{other:#06x} is no ethertype of a crafted frame"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: (&str, &str) = ("198.51.100.1", "198.51.100.2");

    fn inner() -> Vec<u8> {
        Datagram {
            from: "10.0.0.1:68".parse().unwrap(),
            to: "10.0.0.2:67".parse().unwrap(),
            ttl: 64,
            payload: b"payload",
        }
        .frame()
    }

    /// Returns the bytes after the outer IPv4 header.
    fn behind(kind: TunnelKind) -> Vec<u8> {
        OuterLayer::between(ENDS.0, ENDS.1, kind).wrap(&inner())[34..].to_vec()
    }

    #[test]
    fn each_header_is_as_its_document_has_it() {
        let (frame, packet) = (inner(), inner()[14..].to_vec());
        let with = |header: &[u8], content: &[u8]| [header, content].concat();

        assert_eq!(behind(TunnelKind::Ip), packet);
        assert_eq!(behind(TunnelKind::Gre(Gre::default())), with(&[0, 0, 8, 0], &packet));
        let fields = Gre { checksum: false, key: Some(7), sequence: Some(9) };
        assert_eq!(
            behind(TunnelKind::GreEthernet(fields)),
            with(&[0x30, 0, 0x65, 0x58, 0, 0, 0, 7, 0, 0, 0, 9], &frame)
        );
        assert_eq!(
            behind(TunnelKind::Erspan(0x123)),
            with(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 1, 0x23, 0, 0, 0, 7], &frame)
        );
        assert_eq!(behind(TunnelKind::Vxlan(0x0a_0b0c))[8..], with(&[8, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0], &frame));
        let options = vec![(0x0102, 3, vec![1, 2, 3, 4])];
        assert_eq!(
            behind(TunnelKind::Geneve { vni: 5, options, ethernet: false })[8..],
            with(&[2, 0, 8, 0, 0, 0, 5, 0, 1, 2, 3, 1, 1, 2, 3, 4], &packet)
        );
        assert_eq!(
            behind(TunnelKind::GtpU { teid: 6, sequence: None, extensions: Vec::new() })[8..],
            with(&[0x30, 0xff, 0, 35, 0, 0, 0, 6], &packet)
        );
        let extensions = vec![(0x85, vec![0x10, 9]), (0x40, vec![1, 2])];
        assert_eq!(
            behind(TunnelKind::GtpU { teid: 6, sequence: Some(0x0102), extensions })[8..],
            with(&[0x36, 0xff, 0, 47, 0, 0, 0, 6, 1, 2, 0, 0x85, 1, 0x10, 9, 0x40, 1, 1, 2, 0], &packet)
        );
    }

    #[test]
    fn labels_end_with_the_bottom_of_the_stack() {
        let wrapped = OuterLayer::Mpls(vec![16, 0x000f_ffff]).wrap(&inner());
        assert_eq!(wrapped[12..22], [0x88, 0x47, 0, 1, 0, TTL, 0xff, 0xff, 0xf1, TTL]);
        assert_eq!(wrapped[22..], inner()[14..]);
    }

    #[test]
    fn the_way_back_has_its_ends_swapped() {
        let layer = OuterLayer::between(ENDS.0, ENDS.1, TunnelKind::Ip);
        let (out, back) = (layer.wrap(&inner()), layer.reversed().wrap(&inner()));
        assert_eq!((&out[26..30], &out[30..34]), (&back[30..34], &back[26..30]));
        assert_eq!(layer.reversed().reversed(), layer);
    }

    #[test]
    fn the_outermost_carrier_comes_first() {
        let layers = [OuterLayer::Mpls(vec![16]), OuterLayer::between(ENDS.0, ENDS.1, TunnelKind::Vxlan(1))];
        let wrapped = OuterLayer::wrap_all(&layers, inner());
        assert_eq!(wrapped[12..14], MPLS.to_be_bytes());
        assert_eq!(wrapped, layers[0].wrap(&layers[1].wrap(&inner())));
    }
}
