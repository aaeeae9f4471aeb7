//! The program: terminal, keys and sensor around the state.

use std::env;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use nix::sys::signal::{Signal, raise};

use super::cell::{Tone, ToneText};
use super::feed::RowSource;
use super::state::top_state::{ExportJob, FeedKind, SensorLink, StartRanges, TopEffect, TopEvent, TopState};
use super::terminal::TerminalSession;
use super::{draw, export, inputs, row};

/// Time between two redraws: at most ten a second.
const FRAME: Duration = Duration::from_millis(100);

/// Longest wait for an event.
const IDLE: Duration = Duration::from_secs(3600);

/// Events that are applied before the next redraw.
const BATCH: usize = 1000;

/// How the program ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgramEnd {
    /// The user or a signal ended it.
    Quit,
    /// The sensor that it started ended before it served its socket; the last line of its log.
    NotStarted(String),
}

/// Runs until the user quits.
///
/// # Errors
/// If there is no terminal, or threads cannot be started.
pub(super) fn run(
    name: &str,
    source: &RowSource,
    ranges: &StartRanges,
    (events, received): (Sender<TopEvent>, Receiver<TopEvent>),
) -> anyhow::Result<ProgramEnd> {
    inputs::watch_signals(events.clone())?;
    let mut session = TerminalSession::start()?;
    let size = session.terminal.size()?;
    let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut state = TopState::new(name, ranges, (size.width, size.height), has_colours);
    inputs::watch_keys(events.clone())?;
    let _status = source.feed(FeedKind::Status, TopState::status_request(), events.clone())?;
    let rows = source.feed(FeedKind::Rows, state.request(), events.clone())?;
    let (mut is_changed, mut next_frame) = (true, Instant::now());
    loop {
        let wait = if is_changed { next_frame.saturating_duration_since(Instant::now()) } else { IDLE };
        let first = match received.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(ProgramEnd::Quit),
        };
        for event in first.into_iter().chain(received.try_iter().take(BATCH)) {
            is_changed = true;
            if let TopEvent::SensorEnded(reason) = &event
                && !matches!(state.link, SensorLink::Attached)
            {
                return Ok(ProgramEnd::NotStarted(reason.clone()));
            }
            match state.apply(event) {
                Some(TopEffect::Quit) => return Ok(ProgramEnd::Quit),
                Some(effect) => carry_out(effect, &mut session, &mut state, &events, source)?,
                None => {}
            }
        }
        rows.request(state.request());
        if is_changed && Instant::now() >= next_frame {
            session.terminal.draw(|frame| draw::draw(frame, &state))?;
            (is_changed, next_frame) = (false, Instant::now() + FRAME);
        }
    }
}

fn carry_out(
    effect: TopEffect,
    session: &mut TerminalSession,
    state: &mut TopState,
    events: &Sender<TopEvent>,
    source: &RowSource,
) -> io::Result<()> {
    match effect {
        TopEffect::Quit => Ok(()),
        TopEffect::Redraw => session.terminal.clear(),
        TopEffect::Suspend => {
            // The shell continues it; the terminal may have another size then.
            session.leave_for(|| raise(Signal::SIGSTOP))??;
            let size = session.terminal.size()?;
            state.apply(TopEvent::Resize(size.width, size.height));
            Ok(())
        }
        TopEffect::Copy(text) => session.copy(&text),
        TopEffect::Export(job) => start_export(job, events.clone(), source.clone()),
    }
}

/// Exports on a thread of its own, since the sensor may be slow.
fn start_export(job: Box<ExportJob>, events: Sender<TopEvent>, source: RowSource) -> io::Result<()> {
    let write = move || {
        let notice = match export::write(&job, &source) {
            Ok(message) => ToneText::new(message, Tone::Good),
            Err(error) => ToneText::new(row::visible(&format!("{error:#}")), Tone::Bad),
        };
        let _sent = events.send(TopEvent::Notice(notice));
    };
    thread::Builder::new().name("export".to_owned()).spawn(write).map(drop)
}
