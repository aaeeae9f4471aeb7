//! No program stays attached after any kind of exit.

use super::*;

fn after(hook: &str, end: impl FnOnce(RunningSensor)) {
    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let host = wire.server();
    assert!(!host.has_programs());
    let sensor = RunningSensor::start(host, &["--hook", hook]);
    assert!(host.has_programs(), "the check itself sees what is attached");
    end(sensor);
    // The kernel detaches the programs during process teardown, which may end slightly after the exit is reported.
    assert!(until(Duration::from_secs(2), || !host.has_programs()), "{}", host.run(&["ip", "-d", "link"]).stdout());
}

#[test]
fn after_an_interrupt() {
    for hook in ["native", "generic", "tc"] {
        after(hook, |sensor| drop(sensor.stop().ok()));
    }
}

#[test]
fn after_a_kill() {
    for hook in ["native", "generic", "tc"] {
        after(hook, |sensor| drop(sensor.kill()));
    }
}
