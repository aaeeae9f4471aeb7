//! `ja4sensor check`: whether a sensor could run as configured.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use ja4_common::knobs::Knobs;

use super::failure::Failure;
use super::lookup::print;
use super::settings::{refused, warn};
use crate::capture::attach::{Attachment, Policy};
use crate::capture::ebpf::{Kernel, KernelError, Program, Settings};
use crate::capture::interface::Interface;
use crate::config::{self, Config, Opened};
use crate::object;

/// Say whether a sensor could run as configured, without running it.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Configuration; without it, the defaults are looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Interface to look at in place of those in the configuration; may be given several times
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { config: path, interfaces } = self;
        let flags = |config: &mut Config| {
            if !interfaces.is_empty() {
                config.capture.interfaces = interfaces;
            }
        };
        let Opened { config, warnings, .. } = config::examine(path.as_deref(), flags).map_err(refused)?;
        warn(&warnings);
        let mut out = format!("{}\n", kernel());
        let policy = Policy { hook: config.capture.hook, direction: config.capture.direction, ..Policy::default() };
        for name in &config.capture.interfaces {
            let interface = Interface::find(name).map_err(Failure::usage)?;
            // A String takes whatever is written.
            let _ = writeln!(out, "{name}: {}", Attachment::preview(&interface, policy));
        }
        match path {
            Some(path) => out += &format!("{}: in order\n", path.display()),
            None => out += "no configuration file: defaults\n",
        }
        print(&out)
    }
}

/// What this kernel has to say to the kernel half, in one line.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    match load() {
        Ok(()) => format!("kernel {release}: loads the BPF programs"),
        Err(error) => format!("kernel {release}: cannot watch interfaces: {error}"),
    }
}

/// Loads the kernel half with the smallest maps, attaches nothing, and lets go of it again.
fn load() -> Result<(), KernelError> {
    let mut knobs = Knobs::new([0, 0]);
    knobs.shards = 1;
    let mut kernel = Kernel::load(object::bytes(), &Settings { knobs, ring_bytes: 64 << 10, flows: 1 << 10 })?;
    kernel.xdp(Program::Xdp)?;
    kernel.tc(Program::TcEgress)?;
    Ok(())
}
