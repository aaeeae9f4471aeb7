//! The protocols: one folder each.

pub mod dtls;
pub mod openvpn;
pub mod quic;
