//! Two sensors on one interface. XDP is occupied for the second, which receives frames after generic XDP, without
//! their Ethernet header.

use super::*;

/// Asserts that two sensors on the server's interface, with these options, produce the same output.
fn assert_same_output(first: &[&str], second: &[&str]) {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let start = |options: &[&str]| RunningSensor::start(host, &[&["--http", "off"], options].concat());
    let (first, second) = (start(first), start(second));
    for address in [host.v4(), host.v6()] {
        peers::openssl_client(wire.client(), address, 443, &[]);
    }
    let [first, second] = [first, second].map(|sensor| {
        let outcome = sensor.stop().ok();
        (outcome.events(), outcome.stderr())
    });
    let counts = |events: &[Value]| {
        let ends = events.iter().filter(|event| event["event_type"] == "connection");
        let fields = ["pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient"];
        let mut found: Vec<_> = ends.map(|end| fields.map(|field| end["connection"][field].as_u64())).collect();
        found.sort();
        found
    };
    assert_eq!(counts(&first.0).len(), 2, "{}", first.1);
    assert_eq!(counts(&second.0), counts(&first.0), "{}", second.1);
    for kind in ["ja4t", "ja4ts", "ja4", "ja4s", "ja4l", "ja4ls"] {
        let sorted = |events: &[Value]| {
            let mut found: Vec<_> = values(events, kind).into_iter().map(str::to_owned).collect();
            found.sort();
            found
        };
        assert_eq!(sorted(&first.0).len(), 2, "{kind}: {}", first.1);
        if kind.starts_with("ja4l") {
            // Each sensor takes timestamps at its own hook.
            assert_eq!(sorted(&second.0).len(), 2, "{kind}: {}", second.1);
        } else {
            assert_eq!(sorted(&second.0), sorted(&first.0), "{kind}: {}", second.1);
        }
    }
}

#[test]
fn two_sensors_on_one_interface_have_the_same_output() {
    assert_same_output(&[], &[]);
}

#[test]
fn a_sensor_on_tc_has_the_same_output_when_generic_xdp_is_attached_later() {
    assert_same_output(&["--hook", "tc"], &["--hook", "generic"]);
}
