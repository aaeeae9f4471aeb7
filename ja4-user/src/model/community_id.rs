//! Community ID v1 (Corelight, community-id-spec): one name for a flow in every tool.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// `1:` and the base64 of a SHA-1.
const LENGTH: usize = 2 + 28;

/// A flow's Community ID with seed 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityId([u8; LENGTH]);

impl CommunityId {
    /// The ID of a flow; its ends may be given in either order.
    pub fn of(a: (IpAddr, u16), b: (IpAddr, u16), proto: u8) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        // Seed, both addresses, protocol, padding, both ports, in network byte order.
        let mut hash = Sha1::new().chain_update([0, 0]);
        for (address, _) in [low, high] {
            match address {
                IpAddr::V4(address) => hash.update(address.octets()),
                IpAddr::V6(address) => hash.update(address.octets()),
            }
        }
        hash.update([proto, 0]);
        hash.update(low.1.to_be_bytes());
        hash.update(high.1.to_be_bytes());
        let mut text = [b'1', b':', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Some(room) = text.get_mut(2..) {
            // The room is what a SHA-1 takes.
            let _written = STANDARD.encode_slice(hash.finalize(), room);
        }
        Self(text)
    }

    /// The ID as text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(a: (&str, u16), b: (&str, u16)) -> Option<String> {
        let id = CommunityId::of((a.0.parse().ok()?, a.1), (b.0.parse().ok()?, b.1), 6);
        String::from_utf8(id.as_bytes().to_vec()).ok()
    }

    #[test]
    fn it_is_the_one_of_the_specification_in_both_directions() {
        let wanted = Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned());
        assert_eq!(id(("128.232.110.120", 34855), ("66.35.250.204", 80)), wanted);
        assert_eq!(id(("66.35.250.204", 80), ("128.232.110.120", 34855)), wanted);
    }
}
