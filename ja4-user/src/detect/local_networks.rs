//! The addresses of the local network.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use crate::document::documented_type;

/// The networks of the local hosts, in the configuration an array of prefixes such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNetworks(Vec<IpNet>);

impl LocalNetworks {
    /// Returns these networks; without any, no address is local.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether no address is local.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Private, shared and link-local addresses (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
impl Default for LocalNetworks {
    fn default() -> Self {
        let networks = [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ];
        Self(networks.into_iter().filter_map(|network| network.parse().ok()).collect())
    }
}

impl<'de> Deserialize<'de> for LocalNetworks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        let network = |word: &String| {
            let network = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| de::Error::custom(format!("'{word}' is not a network; write it as 192.0.2.0/24")))
        };
        words.iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

documented_type! {
    LocalNetworks: "array of networks", |value| {
        let networks: Vec<_> = value.0.iter().map(|network| format!("\"{network}\"")).collect();
        Some(format!("[{}]", networks.join(", ")))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_local_by_default() {
        let local = |locals: &LocalNetworks, address: &str| locals.contains(address.parse().unwrap());
        let default = LocalNetworks::default();
        for address in ["10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"] {
            assert!(local(&default, address), "{address}");
        }
        for address in ["172.32.0.1", "9.9.9.9", "2001:db8::1"] {
            assert!(!local(&default, address), "{address}");
        }
        let named: LocalNetworks = serde_json::from_str(r#"["198.51.100.0/24"]"#).unwrap();
        assert!(local(&named, "198.51.100.7") && !local(&named, "10.1.2.3"));
        let wrong = serde_json::from_str::<LocalNetworks>(r#"["198.51.100.0/33"]"#).unwrap_err().to_string();
        assert!(wrong.starts_with("'198.51.100.0/33' is not a network"), "{wrong}");
        assert_eq!(crate::document::SettingType::to_toml(&named).as_deref(), Some(r#"["198.51.100.0/24"]"#));
    }
}
