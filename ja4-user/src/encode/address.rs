//! Addresses as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends an address: dotted decimal, or the one form that RFC 5952 section 4 allows.
pub(crate) fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => v4(address, out),
        IpAddr::V6(address) => v6(address, out),
    }
}

/// An octet in decimal with the dot that follows it, and how many of the four bytes that takes.
const OCTETS: [([u8; 4], usize); 256] = octets();

const fn octets() -> [([u8; 4], usize); 256] {
    let mut all = [([0; 4], 0); 256];
    let mut octet = 0_u8;
    loop {
        let [a, b, c] = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        #[allow(clippy::indexing_slicing, reason = "a u8 is below 256, and the compiler evaluates this")]
        {
            all[octet as usize] = match octet {
                0..=9 => ([c, b'.', 0, 0], 2),
                10..=99 => ([b, c, b'.', 0], 3),
                100..=255 => ([a, b, c, b'.'], 4),
            };
        }
        if octet == 255 {
            return all;
        }
        octet += 1;
    }
}

fn v4(address: Ipv4Addr, out: &mut Vec<u8>) {
    for octet in address.octets() {
        let &(text, used) = OCTETS.get(usize::from(octet)).unwrap_or(&([0; 4], 0));
        // One store of fixed size and a shorter length cost less than a copy of variable size.
        out.extend_from_slice(&text);
        out.truncate(out.len() - text.len() + used);
    }
    out.pop();
}

fn v6(address: Ipv6Addr, out: &mut Vec<u8>) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        return v4(mapped, out);
    }
    let groups = address.segments();
    let (start, length) = longest_zeros(&groups);
    for (place, &group) in groups.iter().enumerate() {
        if length > 0 && place == start {
            out.extend_from_slice(b"::");
        } else if !(start..start + length).contains(&place) {
            if place > 0 && !(length > 0 && place == start + length) {
                out.push(b':');
            }
            hex(group, out);
        }
    }
}

/// Where the first of the longest runs of zero groups starts and how long it is; length 0 if none
/// has two groups, as RFC 5952 section 4.2.2 leaves a single one alone.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (place, &group) in groups.iter().enumerate() {
        if group != 0 {
            run = (place + 1, 0);
            continue;
        }
        run.1 += 1;
        if run.1 > best.1 {
            best = run;
        }
    }
    if best.1 > 1 { best } else { (0, 0) }
}

/// Lower-case hex without leading zeros.
fn hex(group: u16, out: &mut Vec<u8>) {
    for shift in [12, 8, 4, 0] {
        if shift == 0 || group >> shift != 0 {
            out.push(nibble(group >> shift));
        }
    }
}

/// Appends `0x1301`.
pub(super) fn hex_u16(value: u16, out: &mut Vec<u8>) {
    let [a, b, c, d] = [12, 8, 4, 0].map(|shift| nibble(value >> shift));
    out.extend_from_slice(&[b'0', b'x', a, b, c, d]);
}

/// The lowest four bits as a hex digit.
pub(crate) const fn nibble(value: u16) -> u8 {
    let low = (value & 0xf) as u8;
    if low < 10 { b'0' + low } else { b'a' - 10 + low }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(of: IpAddr) -> String {
        let mut out = Vec::new();
        address(of, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_octet_prints() {
        for octet in 0..=255 {
            let of = Ipv4Addr::new(octet, 0, octet, 255);
            assert_eq!(text(of.into()), of.to_string());
        }
    }

    proptest! {
        #[test]
        fn addresses_print_as_the_standard_library_has_them(
            // Half of the groups are zero, so that runs of every length and place come up.
            groups in any::<[Option<u16>; 8]>(),
            mapped: bool,
        ) {
            let mut groups = groups.map(Option::unwrap_or_default);
            if mapped {
                let [.., a, b] = groups;
                groups = [0, 0, 0, 0, 0, 0xffff, a, b];
            }
            let of = IpAddr::from(groups);
            prop_assert_eq!(text(of), of.to_string());
        }
    }
}
