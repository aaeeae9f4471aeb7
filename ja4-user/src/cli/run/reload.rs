//! Reload of the configuration.

use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::{Sender, bounded};

use super::args::RunCommand;
use crate::cli::pipeline::Outputs;
use crate::config::Config;
use crate::output::alert::AlertSinks;
use crate::output::files::EventFiles;
use crate::runtime::message::EngineMessage;

/// The thread that reloads the configuration. Reloads run one after the other, so the last one applies in the end. The
/// thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct ReloadThread {
    requests: Sender<()>,
}

impl ReloadThread {
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(reload: Reloader, engine: Sender<EngineMessage>) -> io::Result<Self> {
        let (requests, requested) = bounded(1);
        thread::Builder::new().name("reload".to_owned()).spawn(move || {
            for () in requested {
                reload.run(&engine);
            }
        })?;
        Ok(Self { requests })
    }

    /// Requests a reload after the one in progress. One waiting request covers all later ones.
    pub(super) fn request(&self) {
        let _waits = self.requests.try_send(());
    }
}

/// Reloads the configuration of a running sensor.
#[derive(Debug)]
pub(super) struct Reloader {
    /// The command line, which overrides the file at every reload.
    run: Arc<RunCommand>,
    /// The configuration at the start.
    config: Arc<Config>,
    alerts: Option<Arc<AlertSinks>>,
    files: Arc<EventFiles>,
}

impl Reloader {
    pub(super) fn new(run: Arc<RunCommand>, config: Config, outputs: &Outputs) -> Self {
        let (alerts, files) = (outputs.alerts().cloned(), Arc::clone(outputs.files()));
        Self { run, config: Arc::new(config), alerts, files }
    }

    /// Opens the event files again. Reads the configuration and all files, and applies them if there is no error; else
    /// nothing else changes. Logs the outcome to standard error. Reads files, and waits for the engine.
    pub(super) fn run(&self, engine: &Sender<EngineMessage>) {
        self.files.reopen();
        let opened = match self.run.open() {
            Ok(opened) => opened,
            Err(failure) => return tracing::error!("{failure}; configuration not reloaded"),
        };
        let fixed = opened.config.fixed_sections(&self.config);
        if !fixed.is_empty() {
            tracing::warn!("changes of {} take effect at the next start", fixed.join(", "));
        }
        if let Some(alerts) = &self.alerts
            && let Err(error) = alerts.reload(opened.loaded.sinks)
        {
            return tracing::error!("{error}; configuration not reloaded");
        }
        let (applied, is_applied) = bounded(1);
        let sent = engine.send(EngineMessage::Reload(Box::new(opened.loaded.content), applied));
        // Fails if the engine has ended.
        if sent.is_ok() && is_applied.recv().is_ok() {
            tracing::info!("configuration reloaded");
        }
    }
}
