//! Reading the configuration again.

use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::{Sender, bounded};

use super::args::RunCommand;
use crate::config::Config;
use crate::output::alert::AlertSinks;
use crate::runtime::message::EngineMessage;

/// The thread that reads the configuration again, one time after the other: of two, the later is in force in the end.
/// It ends when this is gone.
#[derive(Debug)]
pub(super) struct ReloadThread {
    wishes: Sender<()>,
}

impl ReloadThread {
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(reload: Reloader, engine: Sender<EngineMessage>) -> io::Result<Self> {
        let (wishes, wished) = bounded(1);
        thread::Builder::new().name("reload".to_owned()).spawn(move || {
            for () in wished {
                reload.run(&engine);
            }
        })?;
        Ok(Self { wishes })
    }

    /// Reads everything again, once what is under way is done. One that waits already stands for all further ones: it
    /// reads what is there then.
    pub(super) fn wish(&self) {
        let _waits = self.wishes.try_send(());
    }
}

/// What a reload needs: how the sensor was started, and what it changes.
#[derive(Debug)]
pub(super) struct Reloader {
    /// The command line, which overrides a file now as then.
    run: Arc<RunCommand>,
    /// The configuration in force.
    config: Arc<Config>,
    alerts: Option<Arc<AlertSinks>>,
}

impl Reloader {
    pub(super) fn new(run: Arc<RunCommand>, config: Config, alerts: Option<Arc<AlertSinks>>) -> Self {
        Self { run, config: Arc::new(config), alerts }
    }

    /// Reads everything again, and hands it over if nothing in it is wrong; else all stays as it is. Says what it does
    /// on standard error. It reads files, and may wait for room in the engine's queue.
    pub(super) fn run(&self, engine: &Sender<EngineMessage>) {
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
        if engine.send(EngineMessage::Reload(Box::new(opened.loaded.knowledge))).is_ok() {
            eprintln!("ja4sensor: reloaded");
        }
    }
}
