//! What a shard counts.

use crate::conntrack::Outcome;
use crate::model::EndReason;
use crate::packet::DecodeError;
use crate::packet::defrag::DefragStats;
use ja4::wire::WireError;

/// What malformed bytes were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TLS, over TCP or inside QUIC.
    Tls,
    /// DTLS.
    Dtls,
    /// QUIC.
    Quic,
    /// Certificates.
    X509,
    /// HTTP/1 and HTTP/2.
    Http,
    /// SSH.
    Ssh,
    /// DHCPv4 and DHCPv6.
    Dhcp,
}

impl Protocol {
    /// Every protocol, in the order of its counters.
    pub const ALL: [Self; 7] = [Self::Tls, Self::Dtls, Self::Quic, Self::X509, Self::Http, Self::Ssh, Self::Dhcp];

    /// Name of the group of counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Dtls => "dtls",
            Self::Quic => "quic",
            Self::X509 => "x509",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Dhcp => "dhcp",
        }
    }
}

/// Counters of one core, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Records taken.
    pub packets: u64,
    /// Records whose headers were cut, by [`DecodeError::ALL`].
    pub undecodable: [u64; DecodeError::ALL.len()],
    /// Bytes that broke a rule, by [`Protocol::ALL`] and [`WireError::ALL`].
    pub malformed: [[u64; WireError::ALL.len()]; Protocol::ALL.len()],
    /// Segments that belong to no handshake.
    pub stray_segments: u64,
    /// Bytes seen before.
    pub duplicate_bytes: u64,
    /// Bytes that came twice and differed; the first copy stayed.
    pub conflicting_bytes: u64,
    /// Bytes that found no room to wait for the ones before them.
    pub refused_bytes: u64,
    /// Streams given up with a message unfinished, or with bytes that waited for missing ones.
    pub unfinished_messages: u64,
    /// Connections whose messages under way made room for others.
    pub gave_way: u64,
    /// Bytes of what is known of connections that found no room, and JA4SSH not told for that.
    pub refused_attribute_bytes: u64,
    /// Connections begun.
    pub opened: u64,
    /// Connections ended, by [`EndReason`].
    pub ended: [u64; EndReason::ALL.len()],
    /// Connections known now.
    pub connections: u64,
    /// Bytes that wait now, or belong to messages under way.
    pub held_bytes: u64,
    /// Bytes that hold what is known of connections now.
    pub attribute_bytes: u64,
    /// What was taken out of nested tunnels and put together of fragments.
    pub decap: DecapStats,
    /// Fragments.
    pub fragments: DefragStats,
}

/// Outcomes of what userspace has opened itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecapStats {
    /// Records of fragments and of tunnels inside tunnels.
    pub records: u64,
    /// Packets that the core took.
    pub taken: u64,
    /// Packets that nothing is made of.
    pub unselected: u64,
    /// Packets too broken to judge.
    pub unparseable: u64,
    /// Datagrams put together of fragments that were met elsewhere before.
    pub duplicates: u64,
    /// Fragments inside nested tunnels, which are not put together.
    pub fragments: u64,
    /// Packets in more tunnels than are opened.
    pub too_deep: u64,
    /// Datagrams handed to another shard.
    pub routed: u64,
    /// Datagrams lost since that shard's queue was full.
    pub lost: u64,
}

impl DecapStats {
    /// Names and counts.
    pub fn counters(&self) -> [(&'static str, u64); 9] {
        let Self { records, taken, unselected, unparseable, duplicates, fragments, too_deep, routed, lost } = *self;
        [
            ("records", records),
            ("taken", taken),
            ("unselected", unselected),
            ("unparseable", unparseable),
            ("duplicates", duplicates),
            ("fragments", fragments),
            ("too_deep", too_deep),
            ("routed", routed),
            ("lost", lost),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.taken += other.taken;
        self.unselected += other.unselected;
        self.unparseable += other.unparseable;
        self.duplicates += other.duplicates;
        self.fragments += other.fragments;
        self.too_deep += other.too_deep;
        self.routed += other.routed;
        self.lost += other.lost;
    }
}

impl CoreStats {
    /// The same with what was opened: a record counts as one packet, whatever was in it.
    pub(crate) fn with(self, decap: DecapStats) -> Self {
        Self { packets: self.packets - decap.taken + decap.records, decap, ..self }
    }

    /// Adds another core's.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        sum(&mut self.undecodable, &other.undecodable);
        for (mine, theirs) in self.malformed.iter_mut().zip(&other.malformed) {
            sum(mine, theirs);
        }
        self.stray_segments += other.stray_segments;
        self.duplicate_bytes += other.duplicate_bytes;
        self.conflicting_bytes += other.conflicting_bytes;
        self.refused_bytes += other.refused_bytes;
        self.unfinished_messages += other.unfinished_messages;
        self.gave_way += other.gave_way;
        self.refused_attribute_bytes += other.refused_attribute_bytes;
        self.opened += other.opened;
        sum(&mut self.ended, &other.ended);
        self.connections += other.connections;
        self.held_bytes += other.held_bytes;
        self.attribute_bytes += other.attribute_bytes;
        self.decap.add(&other.decap);
        self.fragments.add(&other.fragments);
    }

    pub(crate) fn count_undecodable(&mut self, error: DecodeError) {
        bump(&mut self.undecodable, error as usize);
    }

    pub(crate) fn count_malformed(&mut self, protocol: Protocol, error: WireError) {
        if let Some(reasons) = self.malformed.get_mut(protocol as usize) {
            bump(reasons, error.index());
        }
    }

    pub(crate) fn count_ended(&mut self, ended: EndReason) {
        bump(&mut self.ended, ended as usize);
    }

    pub(crate) fn count_reassembly(&mut self, outcome: &Outcome) {
        self.duplicate_bytes += outcome.duplicate as u64;
        self.conflicting_bytes += outcome.conflicting as u64;
        self.refused_bytes += outcome.refused.total() as u64;
    }
}

fn bump(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}

fn sum(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
