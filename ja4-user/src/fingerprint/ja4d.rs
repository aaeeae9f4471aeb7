//! JA4D: DHCPv4 message (specification, section 11).
