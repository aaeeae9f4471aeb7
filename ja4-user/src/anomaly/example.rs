//! A connection for tests.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use thin_vec::ThinVec;

use crate::engine::record::Record;
use crate::event::{Attributes, FlowIdentity, Time};
use crate::flow::community_id::CommunityId;

const TCP: u8 = 6;

/// A TCP connection as it is first met.
pub(super) fn record(client: &str, server: &str, port: u16) -> Record {
    let (client, server) = ((client.parse().unwrap(), 50_000), (server.parse().unwrap(), port));
    let community = CommunityId::of(client, server, TCP);
    Record {
        identity: FlowIdentity { id: 1, community, client, server, proto: TCP, vlan: [0; 2] },
        interface: 0,
        start: Time(0),
        last: Time(0),
        packets: [0; 2],
        bytes: [0; 2],
        ended: None,
        latency: None,
        attributes: Attributes::default(),
        history: ThinVec::new(),
        hops: [None; 2],
        mss: None,
        os: None,
        ssh: None,
        app: None,
        known_bad: None,
        is_new: false,
        fired: ThinVec::new(),
    }
}
