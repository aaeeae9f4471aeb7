//! The path between client and sensor, inferred from JA4T and TTLs.
//!
//! A host announces the MSS that fits its interface, or a router on the way lowers it to what fits the path: the MTU
//! is the MSS and the headers that it leaves out, 40 bytes of IPv4 and TCP or 60 of IPv6 and TCP (RFC 9293, section
//! 3.7.1; RFC 6691). What an encapsulation costs is a constant, so the MTU indicates it. An administrator
//! may set any MSS, so this is an inference.

/// Headers that the MSS leaves out, bytes: IPv4, IPv6.
const HEADERS: [u32; 2] = [40, 60];

/// The fields of a JA4T or JA4TS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syn<'v> {
    /// Window as sent, not scaled.
    pub window: u16,
    /// Kinds of the options, as the value prints them: `2-4-8-1-3`.
    pub options: &'v str,
    /// Maximum segment size, bytes.
    pub mss: Option<u16>,
    /// Shift of the window.
    pub scale: Option<u8>,
}

impl<'v> Syn<'v> {
    /// Parses a value; `None`: it is not a JA4T.
    #[must_use]
    pub fn parse(value: &'v str) -> Option<Self> {
        let mut sections = value.split('_');
        let mut next = || sections.next();
        let (window, options, mss, scale) = (next()?, next()?, next()?, next()?);
        // "00" is both an absent field and zero.
        let present = |text: &'v str| (text != "00").then_some(text);
        Some(Self {
            window: window.parse().ok()?,
            options,
            mss: present(mss).map(str::parse).transpose().ok()?,
            scale: present(scale).map(str::parse).transpose().ok()?,
        })
    }
}

/// A tunnel on the path, inferred from the MSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Name such as `wireguard`, `vxlan`, `pppoe`.
    pub name: &'static str,
    /// Confidence, 0 to 100.
    pub confidence: u8,
    /// Bytes of an IP packet on the path.
    pub mtu: u32,
}

/// The path inferred from an MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPath {
    /// Bytes of an IP packet on the path.
    pub mtu: u32,
    /// `ethernet`, `jumbo`, `loopback`, or the name of an encapsulation; `None`: no usual path has this MTU.
    pub name: Option<&'static str>,
    /// Confidence of the name, 0 to 100.
    pub confidence: u8,
    /// Whether the name is that of an encapsulation.
    is_tunnel: bool,
}

/// First and last MTU, name, whether it is a tunnel, confidence. The first matching row applies.
type PathRow = (u32, u32, &'static str, bool, u8);

const PATHS: [PathRow; 25] = [
    // RFC 894, RFC 2464.
    (1500, 1500, "ethernet", false, 95),
    // 8 bytes (RFC 2516, section 7).
    (1492, 1492, "pppoe", true, 85),
    // A second IPv4 header: 20 bytes (RFC 2003; 6in4: RFC 4213).
    (1480, 1480, "ipip", true, 70),
    // IPv4 and 4 bytes (RFC 2784); with a key 4 more (RFC 2890); with an Ethernet frame 14 more.
    (1476, 1476, "gre", true, 75),
    (1472, 1472, "gre", true, 50),
    (1462, 1462, "gre", true, 55),
    // An IPv6 header: 40 bytes (RFC 2473, RFC 6333). Google Cloud's networks have this MTU too.
    (1460, 1460, "ip_in_ipv6", true, 35),
    // IPv4, UDP, VXLAN and an Ethernet frame: 50 bytes (RFC 7348); over IPv6 70.
    (1450, 1450, "vxlan", true, 75),
    (1430, 1430, "vxlan", true, 45),
    // The same with 8 bytes of options, as OVN sends them (RFC 8926).
    (1442, 1442, "geneve", true, 65),
    // IP, UDP and 32 bytes: over IPv6 80, which is the default, over IPv4 60, over IPv6 and PPPoE 88.
    (1420, 1420, "wireguard", true, 80),
    (1440, 1440, "wireguard", true, 60),
    (1412, 1412, "wireguard", true, 60),
    // ESP in tunnel mode costs 50 to 105 bytes, by cipher, padding, UDP and family (RFC 4303, RFC 3948); 1400 is what
    // many clients are set to.
    (1400, 1400, "ipsec", true, 50),
    (1380, 1449, "ipsec", true, 40),
    // The least that IPv6 allows (RFC 8200, section 5): what overlays take that know nothing of the path.
    (1280, 1280, "overlay", true, 70),
    // The same over jumbo frames of 9000 and 9001 bytes.
    (8980, 8981, "ipip", true, 50),
    (8976, 8977, "gre", true, 55),
    (8950, 8951, "vxlan", true, 65),
    (8940, 8941, "wireguard", true, 50),
    (8920, 8921, "wireguard", true, 60),
    (9000, 9001, "jumbo", false, 90),
    (9002, 9216, "jumbo", false, 80),
    // The loopback interfaces of macOS and the BSDs.
    (16_384, 16_384, "loopback", false, 80),
    // That of Linux: 65,536, of which an IPv4 packet can fill 65,535.
    (65_535, 65_536, "loopback", false, 95),
];

impl NetworkPath {
    /// Infers the path from the MSS of a SYN and its address family.
    #[must_use]
    pub fn of(mss: u16, is_ipv6: bool) -> Self {
        let [v4, v6] = HEADERS;
        let mtu = u32::from(mss) + if is_ipv6 { v6 } else { v4 };
        let row = PATHS.iter().find(|(from, to, ..)| (*from..=*to).contains(&mtu));
        let (name, is_tunnel, confidence) =
            row.map_or((None, false, 0), |(_, _, name, is_tunnel, confidence)| (Some(*name), *is_tunnel, *confidence));
        Self { mtu, name, confidence, is_tunnel }
    }

    /// Returns the tunnel on the path.
    #[must_use]
    pub fn tunnel(self) -> Option<Tunnel> {
        let Self { mtu, name, confidence, is_tunnel } = self;
        name.filter(|_| is_tunnel).map(|name| Tunnel { name, confidence, mtu })
    }
}

/// Number of routers that a packet passed: the difference of its TTL to the next of 64, 128 and 255 (see
/// docs/methods.md). `None` for a TTL of 0, which JA4L prints for an unknown one.
#[must_use]
pub const fn hops(ttl: u8) -> Option<u8> {
    match ttl {
        0 => None,
        _ => Some(initial_ttl(ttl) - ttl),
    }
}

/// Infers the initial TTL of a packet.
#[must_use]
pub(crate) const fn initial_ttl(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64,
        65..=128 => 128,
        129..=255 => 255,
    }
}

/// The TTL in a JA4L or JA4LS.
#[must_use]
pub fn ttl(value: &str) -> Option<u8> {
    value.split('_').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_paths_are_known_by_their_mss() {
        let table = [
            (1460, false, 1500, None),
            (1440, true, 1500, None),
            (1452, false, 1492, Some("pppoe")),
            (1432, true, 1492, Some("pppoe")),
            (1440, false, 1480, Some("ipip")),
            (1436, false, 1476, Some("gre")),
            (1410, false, 1450, Some("vxlan")),
            (1380, false, 1420, Some("wireguard")),
            (1360, true, 1420, Some("wireguard")),
            (1400, false, 1440, Some("wireguard")),
            (1240, false, 1280, Some("overlay")),
            (1220, true, 1280, Some("overlay")),
            (1398, false, 1438, Some("ipsec")),
            (1360, false, 1400, Some("ipsec")),
            (8961, false, 9001, None),
            (8911, false, 8951, Some("vxlan")),
            (65_495, false, 65_535, None),
            (65_476, true, 65_536, None),
            (1300, false, 1340, None),
        ];
        for (mss, is_ipv6, mtu, tunnel) in table {
            let path = NetworkPath::of(mss, is_ipv6);
            assert_eq!((path.mtu, path.tunnel().map(|tunnel| tunnel.name)), (mtu, tunnel), "{mss}");
        }
        let names = [(1460, "ethernet"), (8961, "jumbo"), (65_495, "loopback")];
        assert_eq!(names.map(|(mss, _)| NetworkPath::of(mss, false).name), names.map(|(_, name)| Some(name)));
        assert_eq!(NetworkPath::of(u16::MAX, true).tunnel(), None);
    }

    #[test]
    fn fields_of_a_value() {
        let syn = Syn::parse("64240_2-1-3-1-1-4_1460_8").unwrap();
        assert_eq!(syn, Syn { window: 64_240, options: "2-1-3-1-1-4", mss: Some(1460), scale: Some(8) });
        let bare = Syn::parse("1024_00_00_00").unwrap();
        assert_eq!((bare.options, bare.mss, bare.scale), ("00", None, None));
        for value in ["", "1_2_3", "x_2_1460_8", "64240_2_1460_256", "70000_2_1460_8"] {
            assert_eq!(Syn::parse(value), None, "{value}");
        }
    }

    #[test]
    fn hops_are_counted_from_the_nearest_beginning() {
        let table = [(64, 0), (57, 7), (128, 0), (113, 15), (65, 63), (255, 0), (240, 15), (1, 63)];
        assert_eq!(table.map(|(ttl, _)| hops(ttl)), table.map(|(_, hops)| Some(hops)));
        assert_eq!(hops(0), None);
        assert_eq!(
            (ttl("62_128"), ttl("33804_227_35440"), ttl("62"), ttl("1_300")),
            (Some(128), Some(227), None, None)
        );
    }
}
