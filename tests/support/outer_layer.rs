//! Link headers and tunnels around frames, as added by providers, data centres and traffic mirrors.

use std::net::{IpAddr, SocketAddr};

use crate::datagram::Datagram;
use crate::packets::{
    Checksum, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Envelope, ethernet, ip,
};

/// IP protocol numbers.
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const AUTHENTICATION: u8 = 51;
const ETHERIP: u8 = 97;
const L2TP: u8 = 115;
/// Ethertypes.
const MPLS: u16 = 0x8847;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN: u16 = 0x88be;
const ERSPAN_THREE: u16 = 0x22eb;
/// Destination ports of UDP tunnels. The source port is from the dynamic range.
const VXLAN_PORT: u16 = 4789;
const VXLAN_GPE_PORT: u16 = 4790;
const GENEVE_PORT: u16 = 6081;
const GTP_U_PORT: u16 = 2152;
const L2TP_PORT: u16 = 1701;
const TEREDO_PORT: u16 = 3544;
const TZSP_PORT: u16 = 37008;
const SOURCE_PORT: u16 = 50_001;

/// TTL of the outer header. It differs from every inner TTL of the tests, so that a mix-up is detected.
const TTL: u8 = 33;

/// One layer of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OuterLayer {
    /// A stack of 20-bit labels between the link header and the IP header (RFC 3032), outermost first.
    Mpls(Vec<u32>),
    /// A header between the addresses of the frame and its packet.
    Link(LinkLayer),
    /// An authentication header after the IP header (RFC 4302).
    Authentication,
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

/// A header between the hardware addresses of a frame and its packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// VLAN tags with these EtherTypes and identifiers, outermost first.
    Tags(Vec<(u16, u16)>),
    /// A PPPoE session, after the tags of the frame (RFC 2516). The protocol of PPP may have one byte.
    Pppoe {
        /// Whether it has one byte.
        compressed: bool,
    },
    /// A length, LLC and SNAP in place of the EtherType (RFC 1042).
    Snap,
    /// A provider backbone bridge (IEEE 802.1ah): a tag, then the whole frame.
    Backbone,
    /// VN-Tag.
    VnTag,
    /// FabricPath: a tag, then the whole frame.
    FabricPath,
    /// Cisco MetaData with a security group tag.
    MetaData,
    /// A network service header (RFC 8300), then the packet or the whole frame.
    Nsh {
        /// Whether the whole frame follows.
        ethernet: bool,
    },
    /// A label, and the whole frame, with or without a control word before it (RFC 4448).
    Pseudowire {
        /// Whether there is a control word.
        control_word: bool,
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
    /// ERSPAN type I: GRE without a sequence number, Ethernet frame.
    ErspanOne,
    /// ERSPAN type III with this session ID and a platform-specific subheader.
    ErspanThree(u16),
    /// VXLAN (RFC 7348) with this 24-bit network identifier.
    Vxlan(u32),
    /// VXLAN-GPE with an Ethernet frame and this network identifier.
    VxlanGpe(u32),
    /// A tunnel over UDP on another port.
    OnPort(u16, Box<TunnelKind>),
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
    /// EtherIP (RFC 3378).
    EtherIp,
    /// L2TP version 2 over UDP, with PPP (RFC 2661). All optional fields are present, or none.
    L2tp {
        /// Whether they are present.
        optional: bool,
    },
    /// L2TP version 3 with an Ethernet frame (RFC 3931), over IP or UDP.
    L2tpEthernet {
        /// Whether it is over UDP.
        udp: bool,
        /// Bytes of cookie and sublayer: 0, 4, 8 or 12.
        cookie: usize,
    },
    /// PPTP: GRE version 1 with PPP (RFC 2637).
    Pptp {
        /// Whether an acknowledgment number is present.
        acknowledgment: bool,
    },
    /// Teredo (RFC 4380), for IPv6 packets.
    Teredo {
        /// Whether there is an authentication.
        authentication: bool,
        /// Whether there is an origin indication.
        origin: bool,
    },
    /// TZSP with some fields.
    Tzsp,
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
    /// Returns layers of every kind, tunnels with IPv4 and with IPv6 endpoints.
    pub fn every() -> Vec<Self> {
        let fields = Gre { checksum: true, key: Some(7), sequence: Some(9) };
        let kinds = [
            TunnelKind::Ip,
            TunnelKind::Gre(Gre::default()),
            TunnelKind::Gre(fields),
            TunnelKind::GreEthernet(Gre::default()),
            TunnelKind::Erspan(5),
            TunnelKind::ErspanOne,
            TunnelKind::ErspanThree(5),
            TunnelKind::Vxlan(42),
            TunnelKind::VxlanGpe(42),
            TunnelKind::Geneve {
                vni: 9,
                options: vec![(0x0102, 0x80, vec![1; 8]), (0x0103, 1, Vec::new())],
                ethernet: true,
            },
            TunnelKind::Geneve { vni: 9, options: Vec::new(), ethernet: false },
            TunnelKind::GtpU {
                teid: 77,
                sequence: Some(3),
                extensions: vec![(0x85, vec![0x10, 9]), (0x40, vec![0; 6])],
            },
            TunnelKind::EtherIp,
            TunnelKind::L2tp { optional: false },
            TunnelKind::L2tp { optional: true },
            TunnelKind::L2tpEthernet { udp: true, cookie: 0 },
            TunnelKind::L2tpEthernet { udp: false, cookie: 12 },
            TunnelKind::Pptp { acknowledgment: false },
            TunnelKind::Pptp { acknowledgment: true },
            TunnelKind::Tzsp,
        ];
        let ends = [("192.0.2.1", "192.0.2.2"), ("2001:db8:f::1", "2001:db8:f::2")];
        let tunnels = ends.iter().flat_map(|(from, to)| kinds.iter().map(|kind| Self::between(from, to, kind.clone())));
        let links = [
            LinkLayer::Tags(vec![(0x9100, 5)]),
            LinkLayer::Tags(vec![(0x88a8, 5), (0x9200, 6), (0x9300, 7), (0x8100, 0)]),
            LinkLayer::Pppoe { compressed: false },
            LinkLayer::Pppoe { compressed: true },
            LinkLayer::Snap,
            LinkLayer::Backbone,
            LinkLayer::VnTag,
            LinkLayer::FabricPath,
            LinkLayer::MetaData,
            LinkLayer::Nsh { ethernet: false },
            LinkLayer::Nsh { ethernet: true },
            LinkLayer::Pseudowire { control_word: false },
            LinkLayer::Pseudowire { control_word: true },
        ];
        let links = links.map(Self::Link).into_iter();
        tunnels.chain([Self::Mpls(vec![16, 17]), Self::Authentication]).chain(links).collect()
    }

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
            Self::Link(layer) => layer.wrap(frame),
            Self::Authentication => authentication(frame),
            Self::Tunnel { from, to, kind } => kind.wrap((*from, *to), frame),
        }
    }

    /// Whether frames of another layer may be inside.
    pub fn carries(&self, inner: &Self) -> bool {
        match (self, inner) {
            (Self::Authentication, Self::Authentication) => false,
            (_, Self::Tunnel { .. } | Self::Authentication) => true,
            (Self::Tunnel { kind, .. }, Self::Mpls(_)) => !matches!(
                kind,
                TunnelKind::Ip
                    | TunnelKind::GtpU { .. }
                    | TunnelKind::L2tp { .. }
                    | TunnelKind::Pptp { .. }
                    | TunnelKind::Teredo { .. }
            ),
            // It is found by its EtherType.
            (Self::Tunnel { kind: TunnelKind::L2tpEthernet { .. }, .. }, Self::Link(LinkLayer::Snap)) => false,
            (Self::Tunnel { kind, .. }, Self::Link(_)) => kind.carries_frames(),
            _ => false,
        }
    }

    /// Returns the layer of the reverse direction.
    pub fn reversed(&self) -> Self {
        match self.clone() {
            Self::Tunnel { from, to, kind } => Self::Tunnel { from: to, to: from, kind },
            other => other,
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
    /// Whether it carries whole frames.
    fn carries_frames(&self) -> bool {
        match self {
            Self::GreEthernet(_) | Self::Erspan(_) | Self::ErspanOne | Self::ErspanThree(_) => true,
            Self::Vxlan(_) | Self::VxlanGpe(_) | Self::EtherIp | Self::Tzsp => true,
            Self::OnPort(_, kind) => kind.carries_frames(),
            Self::L2tpEthernet { .. } => true,
            Self::Geneve { ethernet, .. } => *ethernet,
            _ => false,
        }
    }

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
            Self::ErspanOne => within(ends, GRE, &Gre::default().wrap(ERSPAN, &[], frame)),
            Self::ErspanThree(session) => {
                let [high, low] = session.to_be_bytes();
                // Version 2, then a time stamp, a security group, hardware 0 and the flag of the subheader.
                let header = [0x20, 0, high & 0x03, low, 0, 0, 0, 9, 0, 0, 0, 1];
                let fields = Gre { sequence: Some(1), ..Gre::default() };
                within(ends, GRE, &fields.wrap(ERSPAN_THREE, &[&header[..], &[0; 8]].concat(), frame))
            }
            Self::VxlanGpe(vni) => {
                let header = [0x0c00_0003_u32.to_be_bytes(), (vni << 8).to_be_bytes()].concat();
                within_udp(ends, VXLAN_GPE_PORT, &[&header, frame].concat())
            }
            Self::OnPort(port, kind) => {
                let inner = kind.wrap(ends, frame);
                let (_, packet) = ip_packet(&inner);
                let ip = if ends.0.is_ipv4() { 20 } else { 40 };
                within_udp(ends, *port, &packet[ip + 8..])
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
            Self::EtherIp => within(ends, ETHERIP, &[&[0x30, 0], frame].concat()),
            Self::L2tp { optional } => {
                let content = [&[0xff, 3][..], &ppp_protocol(ethertype), packet].concat();
                let header = match optional {
                    false => vec![0, 2, 0, 7, 0, 9],
                    // Length, sequence numbers, an offset of three bytes.
                    true => [
                        &[0x4a, 2],
                        &crate::packets::length(17 + content.len())[..],
                        &[0, 7, 0, 9, 0, 1, 0, 0, 0, 3, 0, 0, 0],
                    ]
                    .concat(),
                };
                within_udp(ends, L2TP_PORT, &[header, content].concat())
            }
            Self::L2tpEthernet { udp, cookie } => {
                let session = [&[0, 0, 0, 5][..], &vec![0x5a; *cookie], frame].concat();
                match udp {
                    true => within_udp(ends, L2TP_PORT, &[&[0, 3, 0, 0], &session[..]].concat()),
                    false => within(ends, L2TP, &session),
                }
            }
            Self::Pptp { acknowledgment } => {
                let content = [&ppp_protocol(ethertype), packet].concat();
                let flags = if *acknowledgment { 0x81 } else { 1 };
                let mut header =
                    [&[0x30, flags, 0x88, 0x0b], &crate::packets::length(content.len())[..], &[0, 3, 0, 0, 0, 1]]
                        .concat();
                header.extend_from_slice(if *acknowledgment { &[0, 0, 0, 2] } else { &[] });
                within(ends, GRE, &[header, content].concat())
            }
            Self::Teredo { authentication, origin } => {
                let mut header = Vec::new();
                // An identifier of two bytes, a value of three, the nonce and the confirmation.
                header.extend_from_slice(if *authentication {
                    &[0, 1, 2, 3, 1, 1, 2, 2, 2, 8, 8, 8, 8, 8, 8, 8, 8, 0]
                } else {
                    &[]
                });
                header.extend_from_slice(if *origin { &[0, 0, 0xff, 0xee, 1, 2, 3, 4] } else { &[] });
                within_udp(ends, TEREDO_PORT, &[&header, packet].concat())
            }
            Self::Tzsp => {
                within_udp(ends, TZSP_PORT, &[&[1, 0, 0, 1, 0, 0x0a, 1, 7, 0x29, 2, 5, 6, 1], frame].concat())
            }
        }
    }
}

impl LinkLayer {
    fn wrap(&self, frame: &[u8]) -> Vec<u8> {
        let (addresses, rest) = frame.split_at(12);
        let with = |header: &[u8], content: &[u8]| [addresses, header, content].concat();
        match self {
            Self::Tags(tags) => {
                let tags: Vec<_> = tags.iter().flat_map(|(kind, id)| [kind.to_be_bytes(), id.to_be_bytes()]).collect();
                with(&tags.concat(), rest)
            }
            Self::Pppoe { compressed } => {
                let (ethertype, packet) = ip_packet(frame);
                let protocol = ppp_protocol(ethertype);
                let protocol = &protocol[usize::from(*compressed && protocol[0] == 0)..];
                let before = &frame[..frame.len() - packet.len() - 2];
                let header =
                    [&[0x88, 0x64, 0x11, 0, 0, 7], &crate::packets::length(protocol.len() + packet.len())[..]].concat();
                [before, &header, protocol, packet].concat()
            }
            Self::Snap => {
                let length = 6 + rest.len();
                assert!(length <= 1500, "a frame of {length} bytes has no length");
                with(&[&crate::packets::length(length)[..], &[0xaa, 0xaa, 3, 0, 0, 0]].concat(), rest)
            }
            Self::Backbone => with(&[0x88, 0xe7, 0, 0, 0x10, 1], frame),
            Self::VnTag => with(&[0x89, 0x26, 0x80, 1, 0, 2], rest),
            Self::FabricPath => with(&[0x89, 3, 4, 1], frame),
            Self::MetaData => with(&[0x89, 9, 1, 1, 0, 1, 0, 5], rest),
            Self::Nsh { ethernet } => {
                let (ethertype, packet) = ip_packet(frame);
                let (protocol, content) = match (ethernet, ethertype) {
                    (true, _) => (3, frame),
                    (false, ETHERTYPE_IPV4) => (1, packet),
                    (false, ETHERTYPE_IPV6) => (2, packet),
                    (false, _) => (5, packet),
                };
                // Time to live 63, six words, type 1: path, index and four words of context.
                with(&[&[0x89, 0x4f, 0x0f, 0xc6, 1, protocol, 0, 0, 1, 255][..], &[0; 16]].concat(), content)
            }
            Self::Pseudowire { control_word } => {
                let word: &[u8] = if *control_word { &[0; 4] } else { &[] };
                with(&[&[0x88, 0x47, 0, 1, 1, TTL], word].concat(), frame)
            }
        }
    }
}

/// The protocol of PPP for a packet.
fn ppp_protocol(ethertype: u16) -> [u8; 2] {
    match ethertype {
        ETHERTYPE_IPV4 => [0, 0x21],
        ETHERTYPE_IPV6 => [0, 0x57],
        _ => [0x02, 0x81],
    }
}

/// Length of an authentication header with an integrity check value of 12 bytes.
const AUTHENTICATION_LENGTH: u16 = 24;

/// Adds an authentication header after the IP header.
fn authentication(frame: &[u8]) -> Vec<u8> {
    let (_, packet) = ip_packet(frame);
    let (mut out, start) = (frame.to_vec(), frame.len() - packet.len());
    let longer = |length| length + AUTHENTICATION_LENGTH;
    let (header, next) = change_payload(&mut out[start..], AUTHENTICATION, longer);
    let mut inserted = vec![next, (AUTHENTICATION_LENGTH / 4 - 2) as u8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    inserted.resize(AUTHENTICATION_LENGTH.into(), 0xa5);
    out.splice(start + header..start + header, inserted);
    out
}

/// Removes the header that [`OuterLayer::Authentication`] adds to an IP packet. Returns `None` if there is none.
pub(crate) fn without_authentication(packet: &[u8]) -> Option<Vec<u8>> {
    let (protocol, header) = match packet.first()? >> 4 {
        4 => (9, 20),
        _ => (6, 40),
    };
    let next = *packet.get(header)?;
    if packet[protocol] != AUTHENTICATION {
        return None;
    }
    let mut out = packet.to_vec();
    change_payload(&mut out, next, |length| length - AUTHENTICATION_LENGTH);
    out.drain(header..header + usize::from(AUTHENTICATION_LENGTH));
    Some(out)
}

/// Changes protocol and length in an IP header. Returns the length of the header, and the protocol before.
fn change_payload(packet: &mut [u8], protocol: u8, length: impl FnOnce(u16) -> u16) -> (usize, u8) {
    let is_v4 = packet[0] >> 4 == 4;
    let (header, protocol_at, length_at) = if is_v4 { (20, 9, 2) } else { (40, 6, 4) };
    let before = std::mem::replace(&mut packet[protocol_at], protocol);
    let changed = length(u16::from_be_bytes([packet[length_at], packet[length_at + 1]]));
    packet[length_at..][..2].copy_from_slice(&changed.to_be_bytes());
    if is_v4 {
        packet[10..12].fill(0);
        let mut sum = Checksum::default();
        sum.add(&packet[..header]);
        let sum = sum.value();
        packet[10..12].copy_from_slice(&sum);
    }
    (header, before)
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

/// Returns the ethertype after the VLAN tags of a frame and the bytes that follow it: an IP packet, or another header before
/// one.
pub(crate) fn ip_packet(frame: &[u8]) -> (u16, &[u8]) {
    let mut at = 12;
    loop {
        let ethertype = u16::from_be_bytes([frame[at], frame[at + 1]]);
        match ethertype {
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | 0x9100 | 0x9200 | 0x9300 => at += 4,
            _ => return (ethertype, &frame[at + 2..]),
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
