//! Numbers of rules, as Suricata's `signature_id`.

use std::ops::RangeInclusive;

/// The numbers of built-in rules.
pub(crate) const BUILTIN: RangeInclusive<u32> = 1_400_000..=1_499_999;

/// The numbers that an own rule may set, but for [`BUILTIN`].
pub(crate) const OWN: RangeInclusive<u32> = 1..=DERIVED - 1;

/// The least number that is derived from a name. They fit into 31 bits, as some readers have no more.
const DERIVED: u32 = 1_000_000_000;
/// How many there are.
const DERIVED_COUNT: u64 = 1_000_000_000;

/// Built-in rules and their numbers. A number is never given to another rule.
pub const BUILTIN_RULES: [(&str, u32); 21] = [
    ("known_bad", 1_400_001),
    ("first_seen", 1_400_002),
    ("new_tunnel", 1_400_003),
    ("user_agent_mismatch", 1_400_004),
    ("many_ja4", 1_400_005),
    ("rare_value_spread", 1_400_006),
    ("new_chain", 1_400_007),
    ("beacon", 1_400_008),
    ("unusual_pair", 1_400_009),
    ("storage_failure", 1_400_010),
    ("port_scan", 1_400_101),
    ("host_sweep", 1_400_102),
    ("dst_port_spread", 1_400_103),
    ("ssh_connection_burst", 1_400_104),
    ("new_ja4_burst", 1_400_105),
    ("certificate_diversity", 1_400_106),
    ("syn_flood", 1_400_107),
    ("dhcp_starvation", 1_400_108),
    ("quic_initial_flood", 1_400_109),
    ("failed_handshake_burst", 1_400_110),
    ("rare_server_burst", 1_400_111),
];

/// Returns the number of a rule that sets none: that of the built-in rule of this name, else one that is derived from the
/// name, so that neither the order of rules nor another rule changes it.
#[must_use]
pub fn signature_id(name: &str) -> u32 {
    let builtin = BUILTIN_RULES.iter().find(|(rule, _)| *rule == name);
    builtin.map_or_else(|| DERIVED + (fnv1a(name.as_bytes()) % DERIVED_COUNT) as u32, |(_, number)| *number)
}

/// The hash FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_has_the_same_number_for_ever() {
        // Computed with another implementation of FNV-1a.
        assert_eq!(signature_id("own_rule"), 1_175_872_990);
        assert_eq!(signature_id("port_scan"), 1_400_101);
    }

    #[test]
    fn builtin_numbers_are_distinct_and_in_their_range() {
        let numbers: HashSet<_> = BUILTIN_RULES.iter().map(|(_, number)| number).collect();
        assert_eq!(numbers.len(), BUILTIN_RULES.len());
        assert!(numbers.into_iter().all(|number| BUILTIN.contains(number)));
    }
}
