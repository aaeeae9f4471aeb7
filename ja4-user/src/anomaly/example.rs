//! A connection for tests.
use crate::engine::record::Record;
use crate::engine::tracker::begin;
use crate::event::{FlowIdentity, Time};
use crate::flow::community_id::CommunityId;

const TCP: u8 = 6;

/// A TCP connection as it is first met.
pub(super) fn record(client: &str, server: &str, port: u16) -> Record {
    let (client, server) = ((client.parse().unwrap(), 50_000), (server.parse().unwrap(), port));
    let community = CommunityId::of(client, server, TCP);
    begin(&FlowIdentity { id: 1, community, client, server, proto: TCP, vlan: [0; 2] }, 0, Time(0))
}
