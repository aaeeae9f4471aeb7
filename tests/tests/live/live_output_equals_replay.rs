//! Live output equals the replay of a tcpdump recording, at every hook, with VLAN tags and offloads.

use super::*;

fn assert_at_the_server(hook: &str) {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let events = live_equals_replay(&wire, wire.server(), &["--hook", hook]);
    assert_directions(&events, "ingress", "egress");
    for event in fingerprints(&events) {
        assert_eq!(event["in_iface"], wire.server().interface(), "{event}");
        assert!(event.get("pcap_cnt").is_none(), "a live event has the packet number of a file: {event}");
    }
    assert!(!wire.server().has_programs());
}

fn assert_at_the_client(hook: &str) {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let events = live_equals_replay(&wire, wire.client(), &["--hook", hook]);
    assert_directions(&events, "egress", "ingress");
    assert!(!wire.client().has_programs());
}

#[test]
fn live_output_with_native_xdp_at_the_server_equals_the_replay() {
    assert_at_the_server("native");
}

#[test]
fn live_output_with_generic_xdp_at_the_server_equals_the_replay() {
    assert_at_the_server("generic");
}

#[test]
fn live_output_with_tc_at_the_server_equals_the_replay() {
    assert_at_the_server("tc");
}

#[test]
fn live_output_with_native_xdp_at_the_client_equals_the_replay() {
    assert_at_the_client("native");
}

#[test]
fn live_output_with_generic_xdp_at_the_client_equals_the_replay() {
    assert_at_the_client("generic");
}

#[test]
fn live_output_with_tc_at_the_client_equals_the_replay() {
    assert_at_the_client("tc");
}

fn assert_with_tags(vlan: &[u16]) {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::with(WireLayout { vlan, ..WireLayout::default() });
    let events = live_equals_replay(&wire, wire.server(), &[]);
    for event in fingerprints(&events) {
        assert_eq!(event["vlan"], serde_json::json!(vlan), "{event}");
    }
}

#[test]
fn live_output_with_a_vlan_tag_equals_the_replay() {
    assert_with_tags(&[100]);
}

#[test]
fn live_output_with_two_vlan_tags_equals_the_replay() {
    assert_with_tags(&[100, 7]);
}

#[test]
fn live_output_of_frames_merged_by_offloads_equals_the_replay() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::with(WireLayout { offloads: true, ..WireLayout::default() });
    live_equals_replay(&wire, wire.server(), &[]);
    live_equals_replay(&wire, wire.client(), &["--hook", "tc"]);
}
