//! The header of the PROXY protocol, before the stream of a client.

use ja4::wire::framing::proxy::{self, ProxyHeader};

use super::packet_ctx::PacketCtx;
use super::stream_protocol::{Parsed, Probe, StreamProtocol};
use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};

/// A header of the PROXY protocol: another protocol begins after it.
#[derive(Debug)]
pub(crate) struct ProxyPreamble(ProxyHeader);

/// The first bytes of version 1.
const VERSION_1: &[u8; 5] = b"PROXY";

impl StreamProtocol for ProxyPreamble {
    /// Bytes that distinguish version 2 from two empty lines before a request.
    const PREFIX_LEN: usize = 5;

    fn probe(prefix: &[u8], side: Side, _is_ssh: bool) -> Probe<Self> {
        let is_version_2 = prefix.first() == Some(&b'\r') && proxy::SIGNATURE.starts_with(prefix);
        if side == Side::Server {
            Probe::NoMatch
        } else if prefix.starts_with(VERSION_1) || (is_version_2 && prefix.len() >= Self::PREFIX_LEN) {
            Probe::Match(Self(ProxyHeader::new()))
        } else if VERSION_1.starts_with(prefix) || is_version_2 {
            Probe::NeedMore
        } else {
            Probe::NoMatch
        }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], _cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        match self.0.push(bytes) {
            Ok(None) => Parsed::Open,
            Ok(Some(rest)) => Parsed::Other { buffered: Vec::new(), rest },
            Err(_) => Parsed::Unrecognized,
        }
    }

    fn buffered(&self) -> usize {
        0
    }
}
