//! Reading the configuration again.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;

use super::Run;
use crate::alert::AlertSinks;
use crate::config::Config;
use crate::engine::thread::Message;

/// What a reload needs: how the sensor was started, and what it changes.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    /// The command line, which overrides a file now as then.
    run: Arc<Run>,
    /// The configuration in force.
    config: Arc<Config>,
    alerts: Option<Arc<AlertSinks>>,
    /// One at a time, so that what was read last is what is handed over last.
    turn: Arc<Mutex<()>>,
}

impl Reload {
    pub(super) fn new(run: Arc<Run>, config: Config, alerts: Option<Arc<AlertSinks>>) -> Self {
        Self { run, config: Arc::new(config), alerts, turn: Arc::default() }
    }

    /// Reads everything again, and hands it over if nothing in it is wrong; else all stays as it is. Says what it does
    /// on standard error. It reads files, and may wait for room in the engine's queue.
    pub(super) fn run(&self, engine: &Sender<Message>) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match self.run.open() {
            Ok(opened) => opened,
            Err(failure) => return eprintln!("ja4sensor: {failure}; what was in force stays in force"),
        };
        let fixed = opened.config.fixed_sections(&self.config);
        if !fixed.is_empty() {
            eprintln!("ja4sensor: warning: {} changed; that takes effect with the next start", fixed.join(", "));
        }
        if let Some(alerts) = &self.alerts
            && let Err(error) = alerts.reload(opened.loaded.sinks)
        {
            return eprintln!("ja4sensor: {error}; what was in force stays in force");
        }
        if engine.send(Message::Reload(Box::new(opened.loaded.knowledge))).is_ok() {
            eprintln!("ja4sensor: reloaded");
        }
    }
}
