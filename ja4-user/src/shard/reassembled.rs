//! Datagrams reassembled from fragments.

use bytes::Bytes;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, PacketHeaders};
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::record::FrameInfo;

use crate::model::{Time, VlanTags};
use crate::packet::defrag::Defragmenter;

/// How often a datagram is reassembled from fragments that are themselves fragmented.
const MAX_LAYERS: u8 = 4;

/// A datagram reassembled from fragments.
#[derive(Clone, Debug)]
pub struct ReassembledDatagram {
    /// The datagram from its IP header on.
    pub(crate) bytes: Bytes,
    /// Time of the last fragment to arrive.
    pub(crate) time: Time,
    /// Index into the run's list of interface names.
    pub(crate) interface: u32,
    /// Where its fragments were captured.
    pub(crate) info: FrameInfo,
    /// VLAN tags of the last fragment to arrive.
    pub(crate) tags: VlanTags,
    /// Number in the capture of the last fragment to arrive; absent live.
    pub(crate) number: Option<u64>,
    /// How often it was reassembled before, from fragments of fragments.
    pub(crate) layers: u8,
}

/// The outcome of a datagram that may be a fragment itself.
pub(crate) enum ReassemblyOutcome {
    /// It is not a fragment.
    NotFragment(ReassembledDatagram),
    /// It has completed another datagram, which may be a fragment itself, and may belong to another shard.
    Completed(ReassembledDatagram),
    /// Other fragments are missing, or it was refused.
    Pending,
}

impl ReassembledDatagram {
    /// Reassembles it further, if it is a fragment itself or has one in a tunnel.
    pub(crate) fn reassemble(self, config: &FilterConfig, defragmenter: &mut Defragmenter) -> ReassemblyOutcome {
        let slice = SliceFrame { bytes: &self.bytes, wire_len: self.bytes.len() };
        let mut headers = PacketHeaders::default();
        let parsed = parse(&slice, self.start(), &config.tunnel_ports, &mut headers);
        if self.layers >= MAX_LAYERS || parsed != ParseOutcome::Fragment {
            return ReassemblyOutcome::NotFragment(self);
        }
        let network = self.bytes.get(headers.l3 as usize..).unwrap_or_default();
        // The defragmenter counts what it refuses.
        match defragmenter.push(network, self.info.capture_point(), self.time) {
            Ok(Some(bytes)) => {
                let bytes = Bytes::copy_from_slice(bytes);
                ReassemblyOutcome::Completed(Self { bytes, layers: self.layers + 1, ..self })
            }
            Ok(None) | Err(_) => ReassemblyOutcome::Pending,
        }
    }

    /// The start of its headers.
    pub(super) fn start(&self) -> ParseStart {
        start_of(&self.bytes)
    }

    /// The hash that selects its shard.
    pub(crate) fn hash(&self, config: &FilterConfig) -> u64 {
        let slice = SliceFrame { bytes: &self.bytes, wire_len: self.bytes.len() };
        let mut headers = PacketHeaders::default();
        match parse(&slice, self.start(), &config.tunnel_ports, &mut headers) {
            ParseOutcome::Transport => headers.hash(config.seed),
            _ => headers.hash_of_addresses(config.seed),
        }
    }
}

/// The start of the headers of a packet without a link header.
pub(crate) fn start_of(network: &[u8]) -> ParseStart {
    let is_ipv4 = network.first().is_some_and(|first| first >> 4 == 4);
    ParseStart::Network { ethertype: if is_ipv4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 }, offset: 0 }
}
