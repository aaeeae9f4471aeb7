//! A sensor whose interface is removed.

use super::*;

#[test]
fn ends_the_sensor_when_it_was_the_last() {
    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let sensor = RunningSensor::start(wire.server(), &[]);
    wire.server().run(&["ip", "link", "del", wire.server().interface()]).ok();
    sensor.wait().status(1).stderr_has(wire.server().interface());
}

#[test]
fn leaves_the_others() {
    let Some(_alone) = alone() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let sensor = RunningSensor::start_on(Some(host), &[host.interface(), "lo"], &[]);
    let said = sensor.stderr().len();
    host.run(&["ip", "link", "del", host.interface()]).ok();
    let told = until(Duration::from_secs(10), || sensor.stderr()[said..].contains(host.interface()));
    assert!(told, "it says that {} is gone:\n{}", host.interface(), sensor.stderr());
    peers::openssl_client(host, IpAddr::V4(Ipv4Addr::LOCALHOST), 443, &[]);
    assert_eq!(values(&sensor.stop().ok().events(), "ja4").len(), 1);
}
