//! DHCPv6 messages (RFC 8415).
