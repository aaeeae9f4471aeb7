//! Keys and signals, as events.

use std::process;
use std::thread;

use crossbeam_channel::Sender;
use ratatui::crossterm::event::{self, Event};
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;

use super::state::top_state::TopEvent;
use super::terminal;
use crate::system::signals::{INTERRUPTED, listen};

/// Sends keys, pasted text and new sizes of the terminal, until the terminal is gone.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn watch_keys(events: Sender<TopEvent>) -> anyhow::Result<()> {
    let read = move || {
        loop {
            let event = match event::read() {
                Ok(Event::Key(key)) => TopEvent::Key(key),
                Ok(Event::Paste(text)) => TopEvent::Paste(text),
                Ok(Event::Resize(width, height)) => TopEvent::Resize(width, height),
                Ok(Event::FocusGained | Event::FocusLost | Event::Mouse(_)) => continue,
                Err(_) => TopEvent::Quit,
            };
            let is_last = matches!(event, TopEvent::Quit);
            if events.send(event).is_err() || is_last {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(())
}

/// Ends the program at SIGINT, SIGTERM and SIGHUP, and suspends it at SIGTSTP. A second signal ends it at once.
///
/// # Errors
/// If signals cannot be handled.
pub(super) fn watch_signals(events: Sender<TopEvent>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup, mut stop) = {
        let _entered = runtime.enter();
        (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::from_raw(libc::SIGTSTP))?,
        )
    };
    let watch = move || {
        runtime.block_on(async {
            let mut is_ending = false;
            loop {
                let event = tokio::select! {
                    _ = interrupt.recv() => TopEvent::Quit,
                    _ = terminate.recv() => TopEvent::Quit,
                    _ = hangup.recv() => TopEvent::Quit,
                    _ = stop.recv() => TopEvent::Suspend,
                };
                if is_ending {
                    terminal::restore();
                    process::exit(INTERRUPTED.into());
                }
                is_ending = matches!(event, TopEvent::Quit);
                if events.send(event).is_err() {
                    return;
                }
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}
