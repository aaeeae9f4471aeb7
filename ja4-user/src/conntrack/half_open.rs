//! The compact form of a connection of which only the client's SYN was seen.
//!
//! A scan or a flood leaves any number of such connections, each until its idle timeout.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ja4_common::flow::{FlowCounters, FlowKey};
use ja4_common::headers::PROTO_TCP;
use thin_vec::ThinVec;

use super::app_state::AppState;
use super::connection::{Connection, flow_id};
use super::latency::Latencies;
use super::tcp_handshake::TcpHandshake;
use crate::model::os::System;
use crate::model::{
    CommunityId, ConnectionRecord, FingerprintRecord, FingerprintValue, FlowIdentity, Method, SharedAttributes, Side,
    Time, VlanTags, path,
};
use crate::packet::flow_key;

/// A connection with one SYN and its JA4T. What can be computed again is left out.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    endpoints: Endpoints,
    /// The flow's hash in the filter.
    hash: u64,
    start: Time,
    last: Time,
    ja4t: Arc<FingerprintValue>,
    /// Sequence number of the client's first payload byte.
    first_seq: u32,
    bytes: u32,
    packets: u16,
    interface: u16,
    vlan: VlanTags,
    /// 0: unknown.
    mss: u16,
    stored_at: u16,
    os: Option<System>,
    ttl: u8,
    flags: u8,
}

const _: () = assert!(size_of::<HalfOpen>() == 80);

/// Bits of [`HalfOpen::flags`].
mod flag {
    pub(super) const CLIENT_IS_HIGH: u8 = 1 << 0;
    pub(super) const FIRST_SEEN: u8 = 1 << 1;
    pub(super) const IS_NEW: u8 = 1 << 2;
    /// The label names the application.
    pub(super) const HAS_APP: u8 = 1 << 3;
}

/// Addresses and ports, the client's first.
#[derive(Debug)]
enum Endpoints {
    V4([Ipv4Addr; 2], [u16; 2]),
    V6(Box<([Ipv6Addr; 2], [u16; 2])>),
}

impl Endpoints {
    fn of(client: (IpAddr, u16), server: (IpAddr, u16)) -> Option<Self> {
        let ports = [client.1, server.1];
        match (client.0, server.0) {
            (IpAddr::V4(client), IpAddr::V4(server)) => Some(Self::V4([client, server], ports)),
            (IpAddr::V6(client), IpAddr::V6(server)) => Some(Self::V6(Box::new(([client, server], ports)))),
            _ => None,
        }
    }

    fn get(&self) -> [(IpAddr, u16); 2] {
        match self {
            Self::V4([client, server], ports) => [(IpAddr::V4(*client), ports[0]), (IpAddr::V4(*server), ports[1])],
            Self::V6(addresses) => {
                let ([client, server], ports) = **addresses;
                [(IpAddr::V6(client), ports[0]), (IpAddr::V6(server), ports[1])]
            }
        }
    }
}

/// The fingerprint of the SYN with which a connection begins.
fn ja4t_of(value: &Arc<FingerprintValue>, start: Time, is_first_seen: bool) -> FingerprintRecord {
    let mut seen = FingerprintRecord::new(Method::Ja4t, Side::Client, 1, Arc::clone(value), (start, start));
    seen.set_first_seen(is_first_seen);
    seen
}

impl HalfOpen {
    /// The compact form of a connection, if it has one: [`Self::expand`] returns the same connection.
    pub(crate) fn of<A: AppState>(connection: &Connection<A>) -> Option<Self> {
        let Connection {
            record,
            hash,
            client_is_high,
            first_seq,
            read_ranges,
            streams,
            app_state,
            is_ssh: false,
            encrypted: false,
            over_limit: false,
            latencies,
            attribute_bytes: 0,
            tcp_handshake: Some(TcpHandshake { syn, first_ack, client_ttl, has_early_data: false, syn_ack: None }),
            counts,
            finished,
            incomplete_since,
            ended: None,
        } = connection
        else {
            return None;
        };
        let ConnectionRecord {
            identity,
            interface,
            start,
            last,
            packets,
            bytes,
            ended: None,
            latency: None,
            attributes,
            history,
            hops,
            mss,
            os,
            ssh: None,
            app,
            known_bad: None,
            is_new,
            fired,
            stored_at,
            is_known: true,
        } = record
        else {
            return None;
        };
        let [ja4t] = &**history else {
            return None;
        };
        let FingerprintRecord { method: Method::Ja4t, value, .. } = ja4t else {
            return None;
        };
        let FlowIdentity { id, community: _, client, server, proto: PROTO_TCP, vlan } = *identity else {
            return None;
        };
        let has_app = match (app, &value.label) {
            (None, _) => false,
            (Some(app), Some(label)) if Arc::ptr_eq(app, label) => true,
            _ => return None,
        };
        let first_seq_of_client = first_seq.client?;
        let is_bare = first_seq.server.is_none()
            && read_ranges.iter().all(|(_, range)| range.is_none())
            && streams.iter().all(|(_, stream)| stream.is_none())
            && app_state.is_empty()
            && *attributes == SharedAttributes::default()
            && *latencies == Latencies::default()
            && fired.is_empty()
            && counts.is_one(Method::Ja4t)
            && (packets.server, bytes.server) == (0, 0)
            && !finished.client
            && !finished.server
            && !first_ack.is_known()
            && !incomplete_since.is_known()
            && *mss != Some(0);
        let is_computable = syn.get() == Some(*start)
            && *ja4t == ja4t_of(value, *start, ja4t.is_first_seen())
            && (hops.client, hops.server) == (path::hops(*client_ttl), None)
            && id == flow_id(&flow_key(client, server, PROTO_TCP), first_seq_of_client.wrapping_sub(1));
        if !is_bare || !is_computable {
            return None;
        }
        let flags = [
            (*client_is_high, flag::CLIENT_IS_HIGH),
            (ja4t.is_first_seen(), flag::FIRST_SEEN),
            (*is_new, flag::IS_NEW),
            (has_app, flag::HAS_APP),
        ];
        Some(Self {
            endpoints: Endpoints::of(client, server)?,
            hash: *hash,
            start: *start,
            last: *last,
            ja4t: Arc::clone(value),
            first_seq: first_seq_of_client,
            bytes: u32::try_from(bytes.client).ok()?,
            packets: u16::try_from(packets.client).ok()?,
            interface: u16::try_from(*interface).ok()?,
            vlan,
            mss: mss.unwrap_or_default(),
            stored_at: *stored_at,
            os: *os,
            ttl: *client_ttl,
            flags: flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit),
        })
    }

    /// The connection.
    pub(crate) fn expand<A: AppState>(&self) -> Connection<A> {
        let is_set = |bit| self.flags & bit != 0;
        let [client, server] = self.endpoints.get();
        let identity = FlowIdentity {
            id: flow_id(&self.key(), self.first_seq.wrapping_sub(1)),
            community: CommunityId::of(client, server, PROTO_TCP),
            client,
            server,
            proto: PROTO_TCP,
            vlan: self.vlan,
        };
        let mut history = ThinVec::with_capacity(1);
        history.push(ja4t_of(&self.ja4t, self.start, is_set(flag::FIRST_SEEN)));
        let mut record = ConnectionRecord {
            last: self.last,
            history,
            mss: Some(self.mss).filter(|mss| *mss != 0),
            os: self.os,
            app: self.ja4t.label.clone().filter(|_| is_set(flag::HAS_APP)),
            is_new: is_set(flag::IS_NEW),
            stored_at: self.stored_at,
            is_known: true,
            ..ConnectionRecord::new(&identity, self.interface.into(), self.start)
        };
        record.packets.client = self.packets.into();
        record.bytes.client = self.bytes.into();
        record.hops.client = path::hops(self.ttl);
        let mut connection = Connection::of_record(record, self.hash, is_set(flag::CLIENT_IS_HIGH));
        connection.first_seq.client = Some(self.first_seq);
        connection.counts.increment(Method::Ja4t);
        connection.tcp_handshake.get_or_insert_default().on_syn(self.start, self.ttl);
        connection
    }

    /// The key of the flow.
    pub(crate) fn key(&self) -> FlowKey {
        let [client, server] = self.endpoints.get();
        flow_key(client, server, PROTO_TCP)
    }

    /// The flow's hash in the filter.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Time of the last known packet.
    pub(crate) const fn last(&self) -> Time {
        self.last
    }

    /// Whether the client is the high end of the key.
    pub(crate) const fn client_is_high(&self) -> bool {
        self.flags & flag::CLIENT_IS_HIGH != 0
    }

    /// Packets and bytes, as counted by the filter.
    pub(crate) fn counters(&self) -> FlowCounters {
        let (packets, bytes) = (u64::from(self.packets), u64::from(self.bytes));
        match self.client_is_high() {
            true => FlowCounters { packets: [0, packets], bytes: [0, bytes] },
            false => FlowCounters { packets: [packets, 0], bytes: [bytes, 0] },
        }
    }
}
