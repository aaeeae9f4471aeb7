//! What the process is told from outside.

use std::process;
use std::thread;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::capture::Stop;

/// Exit status of who was ended by a signal before the end: 128 and the number of SIGINT, as shells have it.
pub(super) const ENDED: u8 = 130;

/// SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals {
    ends: Ends,
    hangup: Signal,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The run is to end.
    End,
    /// The configuration is to be read again.
    Reload,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { ends: Ends::new()?, hangup: on(SignalKind::hangup())? })
    }

    /// The next of any.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            () = self.ends.next() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// The next that ends the run.
    pub(super) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}

/// Sets `stop` at the first SIGINT or SIGTERM. The second ends the process at once.
pub(super) fn stop_at_the_first(stop: Stop) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut ends = {
        let _entered = runtime.enter();
        Ends::new()?
    };
    let wait = move || {
        runtime.block_on(ends.next());
        stop.set();
        runtime.block_on(ends.next());
        process::exit(ENDED.into());
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop).context("cannot handle signals")
}

/// SIGINT and SIGTERM.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn on(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot handle signals")
}
