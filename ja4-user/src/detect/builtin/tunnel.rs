//! A path shows a tunnel that had none.
//!
//! A path is the pair of client and server; of a pair that was not seen often enough, the client's network. A laptop
//! that goes home and turns its VPN on is told once: from then on its path has a tunnel.

use std::net::IpAddr;

use ipnet::IpNet;

use super::settings::NewTunnel as Settings;
use crate::detect::bounded::Bounded;
use crate::model::Tunnel;

/// Pairs and networks kept, each: 16 MiB at most.
const MAX_PATHS: usize = 100_000;

/// Names of paths without a tunnel, should a record have one of them.
const CLEAR: [&str; 3] = ["ethernet", "jumbo", "loopback"];

/// Networks that clients are gathered in: what a site is usually given.
const PREFIX: (u8, u8) = (24, 48);

#[derive(Debug, Default)]
struct Path {
    /// Connections without a tunnel.
    clear: u32,
    /// One had a tunnel.
    tunnel: bool,
}

impl Path {
    fn see(&mut self, tunnel: bool) {
        self.tunnel |= tunnel;
        self.clear = self.clear.saturating_add(u32::from(!tunnel));
    }
}

/// Which path it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Pair(IpAddr, IpAddr),
    Network(IpNet),
}

/// A tunnel where none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Connections of the path that had none.
    pub(super) clear: u32,
}

#[derive(Debug)]
pub(super) struct NewTunnel {
    pairs: Bounded<(IpAddr, IpAddr), Path>,
    networks: Bounded<IpNet, Path>,
}

impl NewTunnel {
    pub(super) fn new() -> Self {
        Self { pairs: Bounded::new(MAX_PATHS), networks: Bounded::new(MAX_PATHS) }
    }

    /// Takes note of a connection's path, told by the client's MSS. A tunnel that `kept_back` leaves in peace is new to
    /// the next one.
    pub(super) fn see(
        &mut self,
        settings: &Settings,
        client: IpAddr,
        server: IpAddr,
        tunnel: Option<Tunnel>,
        kept_back: impl FnOnce() -> bool,
    ) -> Option<Found> {
        let tunnel = tunnel.is_some_and(|tunnel| !CLEAR.contains(&tunnel.name));
        let network = network(client);
        let pair = self.pairs.entry((client, server), Path::default);
        let wide = self.networks.entry(network, Path::default);
        let new = |path: &Path| tunnel && !path.tunnel && path.clear >= settings.observations.max(1);
        let found = if new(pair) {
            Some(Found { place: Place::Pair(client, server), clear: pair.clear })
        } else if pair.clear == 0 && !pair.tunnel && new(wide) {
            Some(Found { place: Place::Network(network), clear: wide.clear })
        } else {
            None
        };
        if found.is_some() && kept_back() {
            return None;
        }
        pair.see(tunnel);
        wide.see(tunnel);
        found
    }

    pub(super) fn evicted(&self) -> u64 {
        self.pairs.evicted() + self.networks.evicted()
    }
}

fn network(address: IpAddr) -> IpNet {
    let (four, six) = PREFIX;
    let length = if address.is_ipv4() { four } else { six };
    IpNet::new(address, length).map_or_else(|_| address.into(), |network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIREGUARD: Option<Tunnel> = Some(Tunnel { name: "wireguard", confidence: 80, mtu: 1420 });

    fn see(paths: &mut NewTunnel, client: &str, server: &str, tunnel: Option<Tunnel>) -> Option<Found> {
        paths.see(&Settings::default(), client.parse().unwrap(), server.parse().unwrap(), tunnel, || false)
    }

    #[test]
    fn a_pair_that_had_none_is_told_once() {
        let mut paths = NewTunnel::new();
        for _ in 0..5 {
            let ethernet = Tunnel { name: "ethernet", confidence: 90, mtu: 1500 };
            assert_eq!(see(&mut paths, "10.0.0.1", "10.1.0.1", Some(ethernet)), None);
        }
        let found = see(&mut paths, "10.0.0.1", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!(found.place, Place::Pair("10.0.0.1".parse().unwrap(), "10.1.0.1".parse().unwrap()));
        assert_eq!(found.clear, 5);
        assert_eq!(see(&mut paths, "10.0.0.1", "10.1.0.1", WIREGUARD), None);
    }

    #[test]
    fn a_network_speaks_for_pairs_never_seen() {
        let mut paths = NewTunnel::new();
        for host in 1..=5 {
            see(&mut paths, &format!("10.0.0.{host}"), "10.1.0.1", None);
        }
        let found = see(&mut paths, "10.0.0.77", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!(found.place, Place::Network("10.0.0.0/24".parse().unwrap()));
        assert_eq!(see(&mut paths, "10.0.0.78", "10.1.0.1", WIREGUARD), None);
    }

    #[test]
    fn a_client_left_in_peace_does_not_speak_for_its_network() {
        let mut paths = NewTunnel::new();
        for host in 1..=5 {
            see(&mut paths, &format!("10.0.0.{host}"), "10.1.0.1", None);
        }
        let (client, server) = ("10.0.0.66".parse().unwrap(), "10.1.0.1".parse().unwrap());
        assert_eq!(paths.see(&Settings::default(), client, server, WIREGUARD, || true), None);
        let found = see(&mut paths, "10.0.0.77", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!((found.place, found.clear), (Place::Network("10.0.0.0/24".parse().unwrap()), 5));
    }

    #[test]
    fn a_path_hardly_known_says_nothing() {
        let mut paths = NewTunnel::new();
        for _ in 0..4 {
            see(&mut paths, "10.0.0.1", "10.1.0.1", None);
        }
        assert_eq!(see(&mut paths, "10.0.0.1", "10.1.0.1", WIREGUARD), None);
        assert_eq!(see(&mut paths, "2001:db8::1", "2001:db8::2", WIREGUARD), None);
    }
}
