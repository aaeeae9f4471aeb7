//! The terminal: raw mode and the alternate screen, and back, whatever happens.

use std::io::{self, Stdout, Write as _};
use std::panic;
use std::process;
use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

/// Exit status of a process that panicked, as Rust's.
const PANICKED: i32 = 101;

/// Most bytes that are copied: terminals limit OSC 52.
const MAX_COPY: usize = 4096;

/// The terminal while the program draws on it. Dropping it restores the terminal.
#[derive(Debug)]
pub struct TerminalSession {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl TerminalSession {
    /// Switches to the alternate screen in raw mode. From then on, a panic of any thread restores the terminal and ends
    /// the process.
    ///
    /// # Errors
    /// If standard input or output is no terminal.
    pub fn start() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
                // Another thread would go on drawing.
                process::exit(PANICKED);
            }));
        });
        enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| restore())
    }

    /// Restores the terminal, runs `work`, and draws again.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub(super) fn leave_for<T>(&mut self, work: impl FnOnce() -> T) -> io::Result<T> {
        restore();
        let result = work();
        enter()?;
        self.terminal.clear()?;
        Ok(result)
    }

    /// Asks the terminal to put text into the clipboard (OSC 52). A terminal that does not know it ignores it.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let text: String = text.chars().take(MAX_COPY).collect();
        let backend = self.terminal.backend_mut();
        write!(backend, "\u{1b}]52;c;{}\u{7}", STANDARD.encode(text))?;
        io::Write::flush(backend)
    }
}

impl Drop for TerminalSession {
    fn drop(&mut self) {
        restore();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste).inspect_err(|_| restore())
}

/// Restores the terminal; may be called again.
pub(super) fn restore() {
    // Nothing helps if the terminal is gone.
    let _left = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _cooked = disable_raw_mode();
}
