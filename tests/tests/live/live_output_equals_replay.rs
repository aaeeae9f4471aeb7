//! Live output equals the replay of a tcpdump recording, at every hook, with VLAN tags and offloads.

use super::*;

fn at_the_server(hook: &str) {
    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let events = live_equals_replay(&wire, wire.server(), &["--hook", hook]);
    assert_directions(&events, "ingress", "egress");
    for event in fingerprints(&events) {
        assert_eq!(event["in_iface"], wire.server().interface(), "{event}");
        assert!(event.get("pcap_cnt").is_none(), "there is no file: {event}");
    }
    assert!(!wire.server().has_programs());
}

fn at_the_client(hook: &str) {
    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let events = live_equals_replay(&wire, wire.client(), &["--hook", hook]);
    assert_directions(&events, "egress", "ingress");
    assert!(!wire.client().has_programs());
}

#[test]
fn native_at_the_server() {
    at_the_server("native");
}

#[test]
fn generic_at_the_server() {
    at_the_server("generic");
}

#[test]
fn tc_at_the_server() {
    at_the_server("tc");
}

#[test]
fn native_at_the_client() {
    at_the_client("native");
}

#[test]
fn generic_at_the_client() {
    at_the_client("generic");
}

#[test]
fn tc_at_the_client() {
    at_the_client("tc");
}

fn tagged(vlan: &[u16]) {
    let Some(_alone) = alone() else { return };
    let wire = Wire::with(WireLayout { vlan, ..WireLayout::default() });
    let events = live_equals_replay(&wire, wire.server(), &[]);
    for event in fingerprints(&events) {
        assert_eq!(event["vlan"], serde_json::json!(vlan), "{event}");
    }
}

#[test]
fn vlan() {
    tagged(&[100]);
}

#[test]
fn two_vlans() {
    tagged(&[100, 7]);
}

#[test]
fn frames_as_large_as_offloads_make_them() {
    let Some(_alone) = alone() else { return };
    let wire = Wire::with(WireLayout { offloads: true, ..WireLayout::default() });
    live_equals_replay(&wire, wire.server(), &[]);
    live_equals_replay(&wire, wire.client(), &["--hook", "tc"]);
}
