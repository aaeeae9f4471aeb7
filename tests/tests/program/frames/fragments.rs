//! IP fragments: of every protocol, inside and around tunnels, and atomic fragments.

use tests::fragment::Fragments;
use tests::hello::Shape;
use tests::outer_layer::{Gre, OuterLayer, TunnelKind};
use tests::packets::{ACK, PSH};

use super::headers::extended;
use super::quic::initial;
use super::setting::Setting;
use super::{L3, hello_record};

/// Returns first, middle and last fragments over IPv4 and IPv6, with and without VLAN tags.
pub(super) fn pieces(setting: &Setting) -> Vec<Vec<u8>> {
    // In a setting with tunnels, the outer packet is fragmented.
    let mut frames = Vec::new();
    let hello = setting.segment((5000, 443), 1, PSH | ACK, &hello_record(Shape::Curl));
    for frame in [hello, setting.datagram((5000, 443), &initial()), setting.datagram((68, 67), &[1; 300])] {
        for count in [2, 3, 7] {
            frames.extend(Fragments::of(&frame).pieces(count));
        }
        let fragments = Fragments::of(&frame).numbered(77);
        // Fragments without payload, with one byte, and at the largest offset.
        frames.push(fragments.forged(0, &[], true));
        frames.push(fragments.forged(8, &[1], false));
        frames.push(fragments.forged(65_528, &[1; 40], true));
        frames.push(fragments.forged(0, &frame[L3..], false));
    }
    frames
}

/// Returns fragments of every protocol number, and atomic fragments.
pub(super) fn protocols() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let (four, six) = (Setting::default(), Setting { six: true, ..Setting::default() });
    let four = four.datagram((5000, 443), &initial());
    let six = six.datagram((5000, 443), &initial());
    for protocol in 0..=255 {
        for bits in [0x2000_u16, 0x2001, 0x0001, 0x1fff] {
            let mut frame = four.clone();
            frame[L3 + 9] = protocol;
            frame[L3 + 6..L3 + 8].copy_from_slice(&bits.to_be_bytes());
            frames.push(frame);
        }
        // Bits 1 and 2 are reserved. A fragment with offset 0 and without the M flag is atomic.
        for bits in [1_u16, 0x0009, 0x0008, 0, 6] {
            let [high, low] = bits.to_be_bytes();
            let mut frame = extended(six.clone(), 44, &[0, high, low, 0, 0, 0, 1]);
            frame[L3 + 40] = protocol;
            frames.push(frame);
        }
    }
    frames
}

/// Returns fragments in tunnels, fragmented tunnel packets, and both combined.
pub(super) fn in_tunnels() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let ends = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];
    let kinds = [
        TunnelKind::Ip,
        TunnelKind::Gre(Gre::default()),
        TunnelKind::GreEthernet(Gre::default()),
        TunnelKind::Vxlan(1),
        TunnelKind::Geneve { vni: 1, options: Vec::new(), ethernet: false },
        TunnelKind::GtpU { teid: 1, sequence: None, extensions: Vec::new() },
    ];
    let settings = [Setting::default(), Setting { six: true, ..Setting::default() }];
    for ((from, to), kind) in ends.into_iter().flat_map(|ends| kinds.clone().map(|kind| (ends, kind))) {
        let carrier = OuterLayer::between(from, to, kind);
        for setting in &settings {
            let frame = setting.datagram((5000, 443), &initial());
            for piece in Fragments::of(&frame).pieces(3) {
                frames.extend([carrier.wrap(&piece), carrier.reversed().wrap(&piece)]);
                frames.push(OuterLayer::Mpls(vec![16]).wrap(&piece));
                frames.extend(Fragments::of(&carrier.wrap(&piece)).pieces(2));
            }
            frames.extend(Fragments::of(&carrier.wrap(&frame)).pieces(3));
        }
    }
    frames
}
