//! A terminal: a tmux server of its own. Tests press keys and read the screen.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::{self, LIMIT};
use crate::sensor::Outcome;

/// Timeout of a screen that is waited for. Most waits take milliseconds.
const SOON: Duration = Duration::from_secs(30);

/// What the shell prints when it waits for a command.
const PROMPT: &str = "ready>";

/// A terminal with a shell. It ends on drop, with the programs in it.
#[derive(Debug)]
pub struct TmuxTerminal {
    /// Name of the server's socket.
    name: String,
}

impl TmuxTerminal {
    /// Starts a shell in a terminal of this size.
    ///
    /// # Panics
    /// If tmux cannot be started.
    pub fn start(folder: &Path, width: u16, height: u16) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("ja4t{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { name };
        let (width, height) = (width.to_string(), height.to_string());
        let folder = folder.to_str().expect("a path in UTF-8");
        // Temporary files and sockets of sensors are in the folder.
        let shell = format!("env -u NO_COLOR TMPDIR='{folder}' RUNTIME_DIRECTORY='{folder}' PS1='{PROMPT}' sh");
        let size = ["new-session", "-d", "-x", &width, "-y", &height, "-c", folder, &shell];
        // The server ends with its last session; without a status line the program has all lines.
        terminal.tmux(&size);
        terminal.tmux(&["set-option", "-g", "status", "off"]);
        terminal.tmux(&["set-option", "-g", "set-clipboard", "on"]);
        terminal.resize_to(&width, &height);
        terminal.wait_for(PROMPT);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").args(["-u", "-L", &self.name, "-f", "/dev/null"]).args(arguments);
        Outcome::new(process::run(command, &[], LIMIT)).ok()
    }

    /// Types a command and presses Enter.
    ///
    /// # Panics
    /// If tmux fails.
    pub fn run(&self, command: &[&str]) {
        self.write(&command.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "));
        self.press(&["Enter"]);
    }

    /// Types text.
    ///
    /// # Panics
    /// If tmux fails.
    pub fn write(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses keys with the names that tmux gives them, such as `Enter` or `C-c`.
    ///
    /// # Panics
    /// If tmux fails.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Returns the text of the screen.
    ///
    /// # Panics
    /// If tmux fails.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).stdout().to_owned()
    }

    /// Waits until the screen has a text, and returns the screen.
    ///
    /// # Panics
    /// If the text does not appear.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as wanted, and returns it.
    ///
    /// # Panics
    /// If it never is.
    pub fn wait_until(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let appeared = process::until(SOON, || {
            screen = self.screen();
            is_wanted(&screen)
        });
        assert!(appeared, "no {what:?} on the screen:\n{screen}");
        screen
    }

    /// Waits for the prompt of the shell on its own screen, in its own mode.
    ///
    /// # Panics
    /// If the program does not end or does not restore the terminal.
    pub fn wait_for_shell(&self) {
        self.wait_until("shell", |screen| screen.trim_end().ends_with(PROMPT));
        let modes = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"]);
        assert_eq!(modes.stdout().trim(), "0 1 0", "alternate screen, cursor, mouse");
        self.run(&["sh", "-c", "stty -a | grep -ow -e -icanon -e icanon -e -echo -e echo | tr \"\\n\" ,"]);
        self.wait_for("icanon,echo,");
    }

    /// Changes the size of the terminal.
    ///
    /// # Panics
    /// If tmux fails.
    pub fn resize(&self, width: u16, height: u16) {
        self.resize_to(&width.to_string(), &height.to_string());
    }

    fn resize_to(&self, width: &str, height: &str) {
        self.tmux(&["resize-window", "-x", width, "-y", height]);
    }

    /// Returns what a program has put into the clipboard.
    ///
    /// # Panics
    /// If the clipboard is empty.
    pub fn clipboard(&self) -> String {
        self.tmux(&["show-buffer"]).stdout().to_owned()
    }

    /// Returns the process of the program that the shell runs.
    ///
    /// # Panics
    /// If it runs none.
    pub fn program(&self) -> u32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout().trim().to_owned();
        let mut command = Command::new("pgrep");
        command.args(["--parent", &shell]);
        let found = Outcome::new(process::run(command, &[], LIMIT)).ok();
        found.stdout().lines().next_back().and_then(|id| id.parse().ok()).expect("a process")
    }
}

impl Drop for TmuxTerminal {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name, "kill-server"]);
        process::run(command, &[], LIMIT);
    }
}
