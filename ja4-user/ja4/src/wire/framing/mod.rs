//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.
//!
//! | module | framing | carries |
//! |---|---|---|
//! | [`proxy`] | PROXY protocol 1 and 2 | any client stream, after one header |
//! | [`tds`] | Tabular Data Stream, over TCP | TLS in both directions |
//! | [`turn`] | TURN, over UDP and TCP | DTLS |
//! | [`openvpn`] | OpenVPN's control channel, over UDP and TCP | TLS in both directions |
//! | [`rfc4571`] | a length before each datagram, over TCP | DTLS |
//!
//! [`Unframe`] splits a TCP stream into frames; [`proxy`] is a single header and has its own reader. A datagram in a
//! frame is parsed like a UDP datagram.

pub mod openvpn;
pub mod proxy;
mod recognize;
pub mod rfc4571;
pub mod tds;
pub mod turn;
mod unframe;

pub use recognize::{Recognized, StreamFraming};
pub use unframe::{FrameContent, Unframe};
