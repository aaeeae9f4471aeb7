//! Host names of this host.

use std::net::IpAddr;

/// Whether the host of a URL is this host, by name or address. Cleartext to it stays on this host.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
