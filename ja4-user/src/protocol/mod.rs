//! The application protocols: one folder each.
//!
//! A stream protocol implements `StreamProtocol` and has one line in the registry in `stream_state`; a datagram protocol
//! implements `DatagramProtocol` and is a field of `Datagrams`.

mod datagram;
mod datagram_protocol;
mod datagrams;
mod dhcp;
pub mod dtls;
mod framed;
mod http1;
mod http2;
mod http_request;
mod incomplete;
pub mod openvpn;
mod packet_ctx;
mod protocol_state;
mod proxy;
pub mod quic;
mod ssh;
mod ssh_packets;
mod stats;
mod stream_protocol;
mod stream_state;
mod tcp;
mod tcp_stream;
mod text;
mod tls;
mod udp;

pub use datagram::UdpDatagram;
pub use packet_ctx::FingerprintOptions;
pub(crate) use packet_ctx::PacketCtx;
pub(crate) use protocol_state::{ProtocolConnection, ProtocolState};
pub use stats::{MalformedProtocol, MalformedStats, ProtocolStats};
