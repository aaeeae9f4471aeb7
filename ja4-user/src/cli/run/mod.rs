//! `ja4sensor run`: live traffic.
//!
//! The shards have their own threads. This module is the control plane: signals, clocks, statistics and changes of
//! interfaces.

mod args;
pub(super) mod error;
mod interfaces;
mod queries;
mod reload;
mod sensor;
mod signals;
mod start;
pub(super) mod startup;
mod threads;
pub(super) mod web;

use std::sync::Arc;

use tokio::sync::mpsc;

pub(super) use self::args::RunCommand;
use self::signals::ControlSignals;
use self::start::{Steps, interruptible};
use self::startup::{PreparedSensor, SensorSetup};
use self::web::HttpTask;
use super::failure::Failure;
use crate::api::MAX_REQUESTS;
use crate::config::OpenedConfig;
use crate::system::shutdown_watch::Shutdown;

impl RunCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::run)?;
        let ended = runtime.block_on(watch(Arc::new(self)));
        // A thread that still blocks does not delay the end of the process.
        runtime.shutdown_background();
        ended
    }
}

/// Starts the sensor, runs the control plane, and stops the sensor.
async fn watch(run: Arc<RunCommand>) -> Result<(), Failure> {
    // Before programs are attached, so that a signal cannot leave them attached.
    let shutdown = Shutdown::watch(|| {}).map_err(Failure::run)?;
    let mut signals = ControlSignals::new(shutdown.clone()).map_err(Failure::run)?;
    let ending = shutdown.clone();
    let limits = run.limits();
    let prepare = move |steps: &Steps| {
        steps.begin("reading the configuration");
        let OpenedConfig { config, loaded, .. } = run.open()?;
        SensorSetup::new(config, run).prepare(loaded, &ending, steps)
    };
    let PreparedSensor {
        setup,
        interfaces,
        server,
        context,
        pipeline_parts,
        mut kernel,
        filter_config,
        overload,
        policy,
    } = interruptible(&shutdown, prepare).await?;
    interfaces.log_unmatched();
    let (mut watch, attached) = interfaces.attach(&mut kernel, policy, Arc::clone(&context.interfaces))?;
    let (control, requests) = mpsc::channel(MAX_REQUESTS);
    let parts = (pipeline_parts, control.clone(), requests);
    let mut sensor = setup.start(kernel, (filter_config, overload), &watch, context, parts, shutdown)?;
    interfaces::log(&attached);
    sensor.outputs.log_attach();
    if let Some(server) = server {
        server.listens_on().for_each(|place| tracing::info!("http: serving on {place}"));
        sensor.web = Some(HttpTask::start(server, queries::api_client(sensor.engine.clone()), control));
    }
    sensor.notifier.ready();
    let ended = sensor.control(&mut signals, &mut watch, setup.config.output.stats_interval.0, limits).await;
    sensor.notifier.stopping();
    sensor.stop(watch).await?;
    ended
}
