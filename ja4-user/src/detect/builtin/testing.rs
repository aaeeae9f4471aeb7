//! Connections as the engine would hand them over.

use crate::model::{CommunityId, ConnectionRecord, FingerprintRecord, FlowIdentity, Method, Side, Time, VlanTags};

pub(in crate::detect) fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

pub(in crate::detect) fn record(client: &str, server: &str) -> ConnectionRecord {
    let (client, server) = ((client.parse().unwrap(), 50_000), (server.parse().unwrap(), 443));
    let community = CommunityId::of(client, server, 6);
    let identity = FlowIdentity { id: 1, community, client, server, proto: 6, vlan: VlanTags::NONE };
    ConnectionRecord { packets: [1; 2].into(), bytes: [100; 2].into(), ..ConnectionRecord::new(&identity, 0, at(1)) }
}

pub(in crate::detect) fn seen(method: Method, value: &str, count: u32) -> FingerprintRecord {
    let side = if matches!(method, Method::Ja4s | Method::Ja4x | Method::Ja4ts) { Side::Server } else { Side::Client };
    FingerprintRecord::numbered_example(method, value, count).of_side(side)
}
