//! The filter expression of the operator, compiled.
//!
//! An expression combines terms, each of which tests the ends of a flow or the VLAN tags of its first packet. It is tested
//! once for each flow, with the packet that would start it: a flow that does not match is not tracked, so its other packets
//! cost what packets of untracked flows cost. The result is looked up in a table with a bit for each combination of
//! matching terms.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::flow::{FlowKey, client};
use crate::headers::Address;
use crate::vlan::{VLAN_PRESENT, VlanTags};

/// Most terms of a filter.
pub const MAX_TERMS: usize = 8;

/// The ends of a flow that a term tests: a bit for each combination of ends that match. Bit 1: the client alone. Bit 2: the
/// server alone. Bit 3: both.
pub mod ends {
    /// The client.
    pub const CLIENT: u8 = 0b1010;
    /// The server.
    pub const SERVER: u8 = 0b1100;
    /// Either end.
    pub const EITHER: u8 = 0b1110;
}

/// The role of the host that sent the first packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SenderRole {
    /// The server.
    Server,
    /// The client.
    Client,
    /// Either one.
    Unknown,
}

impl SenderRole {
    /// The role of a sender that is known to be the client or the server.
    #[inline(always)]
    pub const fn known(from_client: bool) -> Self {
        if from_client { Self::Client } else { Self::Server }
    }

    /// The variant with this number, for a global BPF function.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Server,
            1 => Self::Client,
            _ => Self::Unknown,
        }
    }

    /// The endpoint of the client, as a constant of [`client`]. `from` is the endpoint that sent the packet.
    #[inline(always)]
    pub const fn client(self, from: u32) -> u8 {
        match self {
            Self::Client => from as u8,
            Self::Server => 1 - from as u8,
            Self::Unknown => client::UNKNOWN,
        }
    }
}

/// One test of a filter. All fields that are set must match; address and port must be those of one end.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 16 | network, two halves as in a flow key |
/// | 16 | 16 | mask of the network; 0: any address |
/// | 32 | 2 | first port |
/// | 34 | 2 | number of ports after it; all others: any port |
/// | 36 | 2 | VLAN tag: [`VLAN_PRESENT`] and the identifier, or [`Self::ANY_TAG`]; 0: not tested |
/// | 38 | 1 | IP protocol; 0: any |
/// | 39 | 1 | IP version; 0: any |
/// | 40 | 1 | see [`ends`] |
/// | 41 | 7 | zero |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FilterTerm {
    /// Network.
    pub network: Address,
    /// Mask of the network; 0: any address.
    pub mask: Address,
    /// First port.
    pub first_port: u16,
    /// Number of ports after the first one.
    pub more_ports: u16,
    /// VLAN tag; 0: not tested. A term that tests it tests nothing else.
    pub vlan: u16,
    /// IP protocol; 0: any.
    pub proto: u8,
    /// IP version; 0: any.
    pub version: u8,
    /// See [`ends`].
    pub ends: u8,
    /// Always zero.
    pub reserved: [u8; 7],
}

const _: () = assert!(size_of::<FilterTerm>() == 48);

impl FilterTerm {
    /// A term that every flow matches.
    pub const ANY: Self = Self {
        network: [0; 2],
        mask: [0; 2],
        first_port: 0,
        more_ports: u16::MAX,
        vlan: 0,
        proto: 0,
        version: 0,
        ends: ends::EITHER,
        reserved: [0; 7],
    };

    /// Any VLAN tag, in [`Self::vlan`].
    pub const ANY_TAG: u16 = 1;

    /// A term that packets with this tag match.
    pub const fn tag(identifier: u16) -> Self {
        Self { vlan: VLAN_PRESENT | identifier, ..Self::ANY }
    }

    /// Whether a flow matches.
    // The ends are read from the key by every term: the stack of the kernel has no room for copies.
    #[inline(always)]
    fn matches(&self, key: &FlowKey, client: u8, tags: VlanTags) -> bool {
        if self.vlan != 0 {
            return if self.vlan == Self::ANY_TAG { !tags.is_empty() } else { tags.contains(self.vlan) };
        }
        if self.proto != 0 && self.proto != key.proto {
            return false;
        }
        if self.version != 0 && self.version != key.version {
            return false;
        }
        let [[low_high, low], [high_high, high]] = key.addr;
        let [low_port, high_port] = key.port;
        // First what costs least and differs most often.
        let (mut low, mut high) = (self.may_have(low, low_port), self.may_have(high, high_port));
        if low | high == 0 {
            return false;
        }
        low &= self.has_high_half(low_high);
        high &= self.has_high_half(high_high);
        let ends = match client {
            client::LOW => low | high << 1,
            client::HIGH => high | low << 1,
            // Either end may be the client.
            _ => (low | high) * 3,
        };
        self.ends >> ends & 1 != 0
    }

    /// 1 if the port of an end and the low half of its address match, otherwise 0.
    #[inline(always)]
    fn may_have(&self, low_half: u64, port: u16) -> u32 {
        let [_, network] = self.network;
        let [_, mask] = self.mask;
        u32::from(port.wrapping_sub(self.first_port) <= self.more_ports && (low_half ^ network) & mask == 0)
    }

    /// 1 if the high half of an address matches, otherwise 0.
    #[inline(always)]
    fn has_high_half(&self, high_half: u64) -> u32 {
        let [network, _] = self.network;
        let [mask, _] = self.mask;
        u32::from((high_half ^ network) & mask == 0)
    }
}

/// A compiled filter.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 384 | terms, see [`FilterTerm`] |
/// | 384 | 32 | table with a bit for each combination of matching terms |
/// | 416 | 4 | number of terms; 0: no filter |
/// | 420 | 4 | zero |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CaptureFilter {
    terms: [FilterTerm; MAX_TERMS],
    table: [u64; TABLE_WORDS],
    /// If it is 0, the verifier removes the test.
    count: u32,
    /// Always zero.
    reserved: u32,
}

const TABLE_WORDS: usize = (1 << MAX_TERMS) / 64;

const _: () = assert!(size_of::<CaptureFilter>() == 424);

impl CaptureFilter {
    /// No filter: every flow matches.
    pub const NONE: Self = Self { terms: [FilterTerm::ANY; MAX_TERMS], table: [0; TABLE_WORDS], count: 0, reserved: 0 };

    /// A filter over these terms. `accepts` decides over a combination of matching terms, as a bit for each term. `None`:
    /// there are more than [`MAX_TERMS`].
    pub fn new(terms: &[FilterTerm], accepts: impl Fn(u32) -> bool) -> Option<Self> {
        let mut filter = Self::NONE;
        filter.terms.get_mut(..terms.len())?.copy_from_slice(terms);
        for (word, bits) in (0..).zip(&mut filter.table) {
            *bits = (0..64).filter(|bit| accepts(word << 6 | bit)).fold(0, |bits, bit| bits | 1 << bit);
        }
        filter.count = terms.len() as u32;
        Some(filter)
    }

    /// Whether there is a filter.
    #[inline(always)]
    pub const fn is_configured(&self) -> bool {
        self.count != 0
    }

    /// The terms that match a flow, as a bit for each. `client` is a constant of [`client`].
    #[inline(always)]
    pub fn matching_terms(&self, key: &FlowKey, client: u8, tags: VlanTags) -> u32 {
        let (mut matching, mut bit) = (0, 1);
        for (number, term) in (0..).zip(&self.terms) {
            if number >= self.count {
                break;
            }
            if term.matches(key, client, tags) {
                matching |= bit;
            }
            bit <<= 1;
        }
        matching
    }

    /// Whether the filter accepts a flow that these terms match.
    #[inline(always)]
    pub fn accepts(&self, matching: u32) -> bool {
        let word = self.table.get(matching as usize >> 6 & (TABLE_WORDS - 1)).copied().unwrap_or_default();
        word >> (matching & 63) & 1 != 0
    }
}
