//! What stands between the outer packet and the inner one.

use super::Encapsulation;
use crate::tuntap::Kind;

const ETHERTYPE_V4: u16 = 0x0800;
const ETHERTYPE_V6: u16 = 0x86dd;
/// Labels and their TTL; the second is the bottom of the stack.
const LABELS: [u8; 8] = [0, 0x01, 0x00, 63, 0x00, 0x3e, 0x81, 63];
/// Version 1, no VLAN; session 5; index 7.
const ERSPAN_TWO: [u8; 8] = [0x10, 0, 0, 5, 0, 0, 0, 7];
/// Version 2, no VLAN; session 5; timestamp; security group; an Ethernet frame, ingress, and more to follow: the
/// platform's own.
const ERSPAN_THREE: [u8; 20] = [0x20, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0x0c, 0, 0, 0, 0, 0, 0, 9];
/// Eight bytes of options, Ethernet, VNI 42; an option with four bytes of data.
const GENEVE: [u8; 16] = [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 0xde, 0xad, 0xbe, 0xef];
/// Behind the length of a G-PDU with extension headers: tunnel, sequence number, N-PDU number, extension; a PDU session
/// container of QoS flow 9, and no further extension.
const GTP_U: [u8; 12] = [0, 0, 0, 77, 0, 0, 0, 0x85, 1, 0x10, 9, 0];

impl Encapsulation {
    /// What the hosts' stacks hand over.
    pub(super) fn inside(self) -> Kind {
        match self {
            Self::Vxlan | Self::ErspanTwo | Self::ErspanThree | Self::Geneve => Kind::Tap,
            Self::Gre | Self::IpInIp | Self::Mpls | Self::GtpU => Kind::Tun,
        }
    }

    /// The header before what is inside, of which `number` have gone before; `None` if it does not pass.
    pub(super) fn header(self, inside: &[u8], number: u32) -> Option<Vec<u8>> {
        let six = inside.first().is_some_and(|first| first >> 4 == 6);
        Some(match self {
            Self::Vxlan => return None,
            Self::IpInIp if six => return None,
            Self::IpInIp => Vec::new(),
            Self::Gre => gre(0, if six { ETHERTYPE_V6 } else { ETHERTYPE_V4 }, &[]),
            Self::Mpls => LABELS.to_vec(),
            Self::ErspanTwo => gre(0x1000, 0x88be, &[&number.to_be_bytes()[..], &ERSPAN_TWO].concat()),
            Self::ErspanThree => gre(0x1000, 0x22eb, &[&number.to_be_bytes()[..], &ERSPAN_THREE].concat()),
            Self::Geneve => GENEVE.to_vec(),
            Self::GtpU => {
                // Counted is what follows the tunnel's identifier.
                let length = u16::try_from(GTP_U.len() - 4 + inside.len()).ok()?;
                [&[0x34, 0xff], &length.to_be_bytes()[..], &GTP_U].concat()
            }
        })
    }

    /// What is inside of a packet that begins with this header.
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
