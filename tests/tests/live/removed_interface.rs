//! Removal of an interface that the sensor is attached to.

use super::*;

#[test]
fn removal_of_the_last_interface_ends_the_sensor() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let sensor = RunningSensor::start(wire.server(), &[]);
    wire.server().run(&["ip", "link", "del", wire.server().interface()]).ok();
    sensor.wait().status(1).stderr_has(wire.server().interface());
}

#[test]
fn removal_of_an_interface_leaves_the_others_attached() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let sensor = RunningSensor::start_on(Some(host), &[host.interface(), "lo"], &[]);
    let before = sensor.stderr().len();
    host.run(&["ip", "link", "del", host.interface()]).ok();
    let reported = until(Duration::from_secs(10), || sensor.stderr()[before..].contains(host.interface()));
    assert!(reported, "the removal of {} is not reported:\n{}", host.interface(), sensor.stderr());
    peers::openssl_client(host, IpAddr::V4(Ipv4Addr::LOCALHOST), 443, &[]);
    assert_eq!(values(&sensor.stop().ok().events(), "ja4").len(), 1);
}
