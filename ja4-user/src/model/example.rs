//! A connection for tests.
use crate::model::{CommunityId, ConnectionRecord, FlowIdentity, Time, VlanTags};

const TCP: u8 = 6;

/// A TCP connection as it is first met.
pub(crate) fn record(client: &str, server: &str, port: u16) -> ConnectionRecord {
    let (client, server) = ((client.parse().unwrap(), 50_000), (server.parse().unwrap(), port));
    let community = CommunityId::of(client, server, TCP);
    ConnectionRecord::new(
        &FlowIdentity { id: 1, community, client, server, proto: TCP, vlan: VlanTags::NONE },
        0,
        Time(0),
    )
}
