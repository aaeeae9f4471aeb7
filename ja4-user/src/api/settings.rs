//! Settings of the HTTP server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::document::{documented_type, settings, shown};

/// The default address.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9418);

settings! {
    /// Section `[http]`: metrics, health and a read-only API.
    #[derive(Eq)]
    pub struct HttpSettings {
        /// Address of the server, or a port on 127.0.0.1; default: 127.0.0.1:9418, unless it is in use; `"off"`: none.
        pub listen: ListenAddress = ListenAddress::default();
        /// Accepted host names of requests, besides addresses and `localhost`.
        pub hosts: Vec<String> = Vec::new();
        /// File with the bearer token of the API over TCP; without it, TCP has `/metrics` and `/healthz` alone.
        pub token_file: Option<PathBuf> = None;
        /// Unix socket of the server, with the API, for the sensor's user.
        pub socket: Option<PathBuf> = None;
        /// Group that may connect to `socket` too.
        pub socket_group: Option<String> = None;
    }
}

/// The address of the HTTP server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenAddress {
    /// 127.0.0.1:9418, unless it is in use.
    #[default]
    Loopback,
    /// None: `listen = "off"`, or an empty string.
    Off,
    /// A configured address, on loopback or not.
    Configured(SocketAddr),
}

impl ListenAddress {
    /// Returns the address; `None`: there is no server.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Loopback => Some(LOOPBACK),
            Self::Off => None,
            Self::Configured(address) => Some(address),
        }
    }

    /// Whether the address is configured: then the sensor does not start without it. The default address may be in use,
    /// which is a warning.
    #[must_use]
    pub(crate) const fn is_configured(self) -> bool {
        matches!(self, Self::Configured(_))
    }
}

/// The text is neither an address with a port, nor a port, nor `off`.
#[derive(Debug)]
pub struct ListenAddressError;

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    /// Parses `127.0.0.1:9418`, `[::1]:9418`, `localhost:9418` and `9418`, the last two on 127.0.0.1, and `off`.
    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        if matches!(text, "" | "off") {
            return Ok(Self::Off);
        }
        let port = text.strip_prefix("localhost:").unwrap_or(text).parse::<u16>();
        let address = port.map_or_else(|_| text.parse(), |port| Ok(SocketAddr::new(LOOPBACK.ip(), port)));
        address.map(Self::Configured).map_err(|_| ListenAddressError)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AddressVisitor;

        impl de::Visitor<'_> for AddressVisitor {
            type Value = ListenAddress;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an address such as \"{LOOPBACK}\", or \"off\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ListenAddress, E> {
                text.parse().map_err(|_| {
                    let text = shown(text);
                    let message =
                        format_args!("'{text}' is not an address with a port; write \"{LOOPBACK}\", or \"off\"");
                    E::custom(message)
                })
            }
        }

        from.deserialize_str(AddressVisitor)
    }
}

documented_type! {
    ListenAddress: "address", |_value| None;
}
