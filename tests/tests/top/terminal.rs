//! The terminal itself: what is restored, and what is said without one.

use tests::tmux::TmuxTerminal;

use super::*;

/// The test below that panics, which runs in a terminal of its own.
const PANICKING: &str = "terminal::panics_in_a_terminal";

#[test]
fn a_panic_restores_the_terminal() {
    if !require_tools(&["tmux", "pgrep"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let terminal = TmuxTerminal::start(folder.path(), 80, 24);
    let program = std::env::current_exe().unwrap();
    terminal.run(&[program.to_str().unwrap(), "--exact", PANICKING, "--ignored", "--nocapture"]);
    terminal.wait_for("a panic while the screen is drawn");
    terminal.wait_for_shell();
}

#[test]
#[ignore = "the program of a_panic_restores_the_terminal"]
fn panics_in_a_terminal() {
    let _session = ja4_user::top::TerminalSession::start().unwrap();
    // On another thread than the one that draws.
    let thread = std::thread::spawn(|| panic!("a panic while the screen is drawn"));
    let _joined = thread.join();
}

#[test]
fn without_a_terminal_or_a_sensor_there_is_one_line() {
    Sensor::new().run(&["top", "-i", "lo"]).status(2).stderr_has("top needs a terminal").stderr_has_one_line();
    if !require_tools(&["tmux", "pgrep"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let terminal = TmuxTerminal::start(folder.path(), 200, 24);
    terminal.run(&[&binary(), "top"]);
    terminal.wait_for("no sensor runs here; start one with `sudo ja4sensor run -i eth0`");
    terminal.run(&[&binary(), "top", "no-such-sensor"]);
    terminal.wait_for("no running sensor is named 'no-such-sensor'");
    terminal.run(&[&binary(), "top", "--config", "x.toml"]);
    terminal.wait_for("--config is for a sensor that top starts");
}
