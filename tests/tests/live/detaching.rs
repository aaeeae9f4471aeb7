//! No program stays attached after any kind of exit.

use super::*;

fn assert_detached_after(hook: &str, end: impl FnOnce(RunningSensor)) {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let host = wire.server();
    assert!(!host.has_programs());
    let sensor = RunningSensor::start(host, &["--hook", hook]);
    assert!(host.has_programs(), "the attached programs are not found");
    end(sensor);
    // The kernel detaches the programs during process teardown, which may end slightly after the exit is reported.
    assert!(until(Duration::from_secs(2), || !host.has_programs()), "{}", host.run(&["ip", "-d", "link"]).stdout());
}

#[test]
fn programs_are_detached_after_an_interrupt() {
    for hook in ["native", "generic", "tc"] {
        assert_detached_after(hook, |sensor| drop(sensor.stop().ok()));
    }
}

#[test]
fn programs_are_detached_after_a_kill() {
    for hook in ["native", "generic", "tc"] {
        assert_detached_after(hook, |sensor| drop(sensor.kill()));
    }
}
