//! Rule `new_tunnel`: a path shows a tunnel for the first time.
//!
//! A path is the pair of client and server, or the client's network if the pair was not seen often enough. A laptop
//! that turns its VPN on fires once: from then on its path has a tunnel.

use std::net::IpAddr;

use ipnet::IpNet;

use super::rule_settings::rule_settings;
use crate::model::Tunnel;
use crate::model::bounded_lru_map::BoundedLruMap;

/// Tracked pairs, and tracked networks: 16 MiB at most.
const MAX_PATHS: usize = 100_000;

/// Names of paths without a tunnel.
const NOT_TUNNELS: [&str; 3] = ["ethernet", "jumbo", "loopback"];

/// Prefix lengths of a client's network, IPv4 and IPv6: what a site is usually assigned.
const PREFIX: (u8, u8) = (24, 48);

rule_settings! {
    /// Section `[builtin.new_tunnel]`: a path shows a tunnel for the first time.
    NewTunnelSettings(Medium, 3600) {
        /// Connections of a path without a tunnel that must have been seen before a tunnel raises an alert.
        pub observations: u32 = 5, in 1..;
    }
}

#[derive(Debug, Default)]
struct PathHistory {
    /// Connections without a tunnel.
    untunneled: u32,
    /// A connection had a tunnel.
    has_tunnel: bool,
}

impl PathHistory {
    fn record(&mut self, tunnel: bool) {
        self.has_tunnel |= tunnel;
        self.untunneled = self.untunneled.saturating_add(u32::from(!tunnel));
    }
}

/// The path that shows a new tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TunnelPath {
    /// A client and a server.
    Pair(IpAddr, IpAddr),
    /// The client's network.
    Network(IpNet),
}

/// A tunnel on a path that had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewTunnel {
    pub(super) path: TunnelPath,
    /// Earlier connections of the path, all without a tunnel.
    pub(super) untunneled: u32,
}

/// The history of each path.
#[derive(Debug)]
pub(super) struct NewTunnelTracker {
    pairs: BoundedLruMap<(IpAddr, IpAddr), PathHistory>,
    networks: BoundedLruMap<IpNet, PathHistory>,
}

impl NewTunnelTracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self {
            pairs: BoundedLruMap::new(MAX_PATHS.div_ceil(parts)),
            networks: BoundedLruMap::new(MAX_PATHS.div_ceil(parts)),
        }
    }

    /// Records the path of a connection, inferred from the client's MSS. A tunnel that the allowlist suppresses is not
    /// recorded.
    pub(super) fn observe(
        &mut self,
        settings: &NewTunnelSettings,
        client: IpAddr,
        server: IpAddr,
        tunnel: Option<Tunnel>,
        is_allowlisted: impl FnOnce() -> bool,
    ) -> Option<NewTunnel> {
        let tunnel = tunnel.is_some_and(|tunnel| !NOT_TUNNELS.contains(&tunnel.name));
        let network = network(client);
        let of_pair = self.pairs.entry((client, server), PathHistory::default);
        let of_network = self.networks.entry(network, PathHistory::default);
        let is_new = |path: &PathHistory| tunnel && !path.has_tunnel && path.untunneled >= settings.observations.max(1);
        let found = if is_new(of_pair) {
            Some(NewTunnel { path: TunnelPath::Pair(client, server), untunneled: of_pair.untunneled })
        } else if of_pair.untunneled == 0 && !of_pair.has_tunnel && is_new(of_network) {
            Some(NewTunnel { path: TunnelPath::Network(network), untunneled: of_network.untunneled })
        } else {
            None
        };
        if found.is_some() && is_allowlisted() {
            return None;
        }
        of_pair.record(tunnel);
        of_network.record(tunnel);
        found
    }

    pub(super) fn evicted(&self) -> u64 {
        self.pairs.evicted() + self.networks.evicted()
    }
}

pub(super) fn network(address: IpAddr) -> IpNet {
    let (ipv4, ipv6) = PREFIX;
    let length = if address.is_ipv4() { ipv4 } else { ipv6 };
    IpNet::new(address, length).map_or_else(|_| address.into(), |network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIREGUARD: Option<Tunnel> = Some(Tunnel { name: "wireguard", confidence: 80, mtu: 1420 });

    fn observe(
        tracker: &mut NewTunnelTracker,
        client: &str,
        server: &str,
        tunnel: Option<Tunnel>,
    ) -> Option<NewTunnel> {
        let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
        tracker.observe(&NewTunnelSettings::default(), client, server, tunnel, || false)
    }

    #[test]
    fn a_pair_without_a_tunnel_fires_once() {
        let mut tracker = NewTunnelTracker::new(1);
        for _ in 0..5 {
            let ethernet = Tunnel { name: "ethernet", confidence: 90, mtu: 1500 };
            assert_eq!(observe(&mut tracker, "10.0.0.1", "10.1.0.1", Some(ethernet)), None);
        }
        let found = observe(&mut tracker, "10.0.0.1", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!(found.path, TunnelPath::Pair("10.0.0.1".parse().unwrap(), "10.1.0.1".parse().unwrap()));
        assert_eq!(found.untunneled, 5);
        assert_eq!(observe(&mut tracker, "10.0.0.1", "10.1.0.1", WIREGUARD), None);
    }

    #[test]
    fn a_network_stands_in_for_pairs_that_were_never_seen() {
        let mut tracker = NewTunnelTracker::new(1);
        for host in 1..=5 {
            observe(&mut tracker, &format!("10.0.0.{host}"), "10.1.0.1", None);
        }
        let found = observe(&mut tracker, "10.0.0.77", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!(found.path, TunnelPath::Network("10.0.0.0/24".parse().unwrap()));
        assert_eq!(observe(&mut tracker, "10.0.0.78", "10.1.0.1", WIREGUARD), None);
    }

    #[test]
    fn a_client_on_the_allowlist_does_not_stand_in_for_its_network() {
        let mut tracker = NewTunnelTracker::new(1);
        for host in 1..=5 {
            observe(&mut tracker, &format!("10.0.0.{host}"), "10.1.0.1", None);
        }
        let (client, server) = ("10.0.0.66".parse().unwrap(), "10.1.0.1".parse().unwrap());
        assert_eq!(tracker.observe(&NewTunnelSettings::default(), client, server, WIREGUARD, || true), None);
        let found = observe(&mut tracker, "10.0.0.77", "10.1.0.1", WIREGUARD).unwrap();
        assert_eq!((found.path, found.untunneled), (TunnelPath::Network("10.0.0.0/24".parse().unwrap()), 5));
    }

    #[test]
    fn a_path_with_few_observations_does_not_fire() {
        let mut tracker = NewTunnelTracker::new(1);
        for _ in 0..4 {
            observe(&mut tracker, "10.0.0.1", "10.1.0.1", None);
        }
        assert_eq!(observe(&mut tracker, "10.0.0.1", "10.1.0.1", WIREGUARD), None);
        assert_eq!(observe(&mut tracker, "2001:db8::1", "2001:db8::2", WIREGUARD), None);
    }
}
