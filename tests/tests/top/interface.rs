//! With a sensor that `top` starts on an interface.

use tests::process;

use super::*;

#[test]
fn the_sensor_of_an_interface_ends_with_top() {
    if !is_possible() {
        return;
    }
    let (wire, folder) = (Wire::new(), TopFolder::new());
    let _server = web_server(&wire);
    let host = wire.server();
    let terminal = folder.terminal(120, 24);
    let top = ["ip", "netns", "exec", host.name(), &binary(), "top", "-i", host.interface(), "--config"];
    terminal.run(&[&top[..], &[&folder.text("sensor.toml")]].concat());
    terminal.wait_for("pkt/s");
    visit(&wire);
    terminal.wait_until("connection of curl", |screen| {
        screen.lines().any(|line| ["10.98.0.1", NAME, "curl"].iter().all(|text| line.contains(text)))
    });
    // The log of the sensor is on no screen but its own.
    terminal.press(&["o"]);
    terminal.wait_for(&format!("{}: attached", host.interface()));
    terminal.press(&["q", "q"]);
    terminal.wait_for_shell();
    assert!(!host.has_programs());

    // A sensor that cannot start gives its reason after the terminal is restored.
    terminal.run(&["clear"]);
    terminal.run(&[&top[..6], &["-i", "nowhere"]].concat());
    terminal.wait_for("the sensor did not start:");
    terminal.wait_for_shell();

    // If top is killed, its sensor ends too.
    terminal.run(&["clear"]);
    terminal.run(&[&top[..], &[&folder.text("sensor.toml")]].concat());
    terminal.wait_for("pkt/s");
    let id = terminal.program().to_string();
    std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap();
    assert!(process::until(process::LIMIT, || !host.has_programs()), "the sensor still runs");
}
