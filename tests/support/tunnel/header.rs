//! Tunnel headers between the outer and the inner packet.

use super::Encapsulation;
use crate::tuntap::DeviceKind;

const ETHERTYPE_V4: u16 = 0x0800;
const ETHERTYPE_V6: u16 = 0x86dd;
/// MPLS label stack: labels 16 and 1000, both with TTL 63. The second one has the bottom-of-stack bit.
const LABELS: [u8; 8] = [0, 0x01, 0x00, 63, 0x00, 0x3e, 0x81, 63];
/// ERSPAN type II header: version 1, no VLAN; session 5; index 7.
const ERSPAN_TWO: [u8; 8] = [0x10, 0, 0, 5, 0, 0, 0, 7];
/// ERSPAN type III header: version 2, no VLAN; session 5; timestamp; security group; Ethernet frame, ingress; followed
/// by the optional platform-specific subheader.
const ERSPAN_THREE: [u8; 20] = [0x20, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0x0c, 0, 0, 0, 0, 0, 0, 9];
/// Geneve header: 8 bytes of options, protocol type Ethernet, VNI 42; one option with 4 bytes of data.
const GENEVE: [u8; 16] = [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 0xde, 0xad, 0xbe, 0xef];
/// G-PDU fields after the length: TEID, sequence number, N-PDU number, extension header type; then a PDU session
/// container with QoS flow 9 and no further extension header.
const GTP_U: [u8; 12] = [0, 0, 0, 77, 0, 0, 0, 0x85, 1, 0x10, 9, 0];

impl Encapsulation {
    /// Returns the device kind: TAP for Ethernet payloads, TUN for IP payloads.
    pub(super) fn inside(self) -> DeviceKind {
        match self {
            Self::Vxlan(_) | Self::ErspanTwo | Self::ErspanThree | Self::Geneve => DeviceKind::Tap,
            Self::Gre | Self::IpInIp | Self::Mpls | Self::GtpU => DeviceKind::Tun,
        }
    }

    /// Returns the header for the inner packet `inside`, sent after `number` others; `None` if the encapsulation does
    /// not support it.
    pub(super) fn header(self, inside: &[u8], number: u32) -> Option<Vec<u8>> {
        let six = inside.first().is_some_and(|first| first >> 4 == 6);
        Some(match self {
            Self::Vxlan(_) => return None,
            Self::IpInIp if six => return None,
            Self::IpInIp => Vec::new(),
            Self::Gre => gre(0, if six { ETHERTYPE_V6 } else { ETHERTYPE_V4 }, &[]),
            Self::Mpls => LABELS.to_vec(),
            Self::ErspanTwo => gre(0x1000, 0x88be, &[&number.to_be_bytes()[..], &ERSPAN_TWO].concat()),
            Self::ErspanThree => gre(0x1000, 0x22eb, &[&number.to_be_bytes()[..], &ERSPAN_THREE].concat()),
            Self::Geneve => GENEVE.to_vec(),
            Self::GtpU => {
                // The length covers everything after the TEID.
                let length = u16::try_from(GTP_U.len() - 4 + inside.len()).ok()?;
                [&[0x34, 0xff], &length.to_be_bytes()[..], &GTP_U].concat()
            }
        })
    }

    /// Returns the inner packet of a packet that begins with this header.
    pub(super) fn content(self, packet: &[u8]) -> Option<&[u8]> {
        packet.get(self.header(&[], 0)?.len()..)
    }
}

fn gre(flags: u16, protocol: u16, behind: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes()[..], &protocol.to_be_bytes(), behind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_is_found_again() {
        for encapsulation in [
            Encapsulation::Gre,
            Encapsulation::IpInIp,
            Encapsulation::Mpls,
            Encapsulation::ErspanTwo,
            Encapsulation::ErspanThree,
            Encapsulation::Geneve,
            Encapsulation::GtpU,
        ] {
            let packet = [&encapsulation.header(&[0x45; 40], 3).unwrap()[..], &[0x45; 40]].concat();
            assert_eq!(encapsulation.content(&packet), Some(&[0x45; 40][..]), "{encapsulation:?}");
        }
    }

    #[test]
    fn fields_are_where_their_documents_have_them() {
        // Label, class, bottom, TTL (RFC 3032, section 2.1).
        let label = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        assert_eq!((label(&LABELS[..4]) >> 12, LABELS[2] & 1), (16, 0));
        assert_eq!((label(&LABELS[4..]) >> 12, LABELS[6] & 1), (1000, 1));
        let gtp = Encapsulation::GtpU.header(&[0x45; 20], 0).unwrap();
        assert_eq!((gtp.len(), &gtp[2..4]), (16, &[0, 28][..]), "TS 29.281, section 5.1");
        let erspan = Encapsulation::ErspanTwo.header(&[], 9).unwrap();
        assert_eq!(erspan[..8], [0x10, 0, 0x88, 0xbe, 0, 0, 0, 9]);
    }
}
