//! Both hooks become active at the same time, and an earlier signal ends the sensor at once.

use std::thread::sleep;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[test]
fn a_signal_at_any_moment_of_the_start_ends_the_sensor_without_attached_programs() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let host = wire.server();
    for after in [5, 20, 50, 100, 200, 400] {
        let command = host.enter(&Sensor::new().command(&["run", "-i", host.interface()]));
        let sensor = RunningSensor::spawn(command);
        sleep(Duration::from_millis(after));
        let sent = Instant::now();
        kill(Pid::from_raw(sensor.id() as i32), Signal::SIGTERM).unwrap();
        let outcome = sensor.wait();
        let took = sent.elapsed();
        // A signal before the handler is installed terminates the process by default.
        assert!(matches!(outcome.code(), Some(0) | None), "{after} ms: {}", outcome.stderr());
        assert!(took < Duration::from_secs(2), "{after} ms: {took:?}: {}", outcome.stderr());
        assert!(until(Duration::from_secs(2), || !host.has_programs()), "{after} ms");
    }
}

#[test]
fn connections_during_the_start_are_captured_in_both_directions_or_not_at_all() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
    let host = wire.server();
    let sensor = RunningSensor::spawn(host.enter(&Sensor::new().command(&["run", "-i", host.interface()])));
    let start = Instant::now();
    let mut opened = 0;
    while opened < 20 || !sensor.stderr().contains("attached") {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", sensor.stderr());
        peers::openssl_client(wire.client(), host.v4(), 443, &[]);
        opened += 1;
    }
    // One connection may be in progress while the hooks attach. Later ones are complete.
    for _ in 0..5 {
        peers::openssl_client(wire.client(), host.v4(), 443, &[]);
    }
    let events = sensor.stop().ok().events();
    let (client_hellos, server_hellos) = (values(&events, "ja4").len(), values(&events, "ja4s").len());
    assert!(
        client_hellos >= 5 && client_hellos.abs_diff(server_hellos) <= 1,
        "{client_hellos} ClientHellos, {server_hellos} ServerHellos"
    );
}
