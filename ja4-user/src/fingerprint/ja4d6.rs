//! JA4D6: DHCPv6 message (specification, section 12).
