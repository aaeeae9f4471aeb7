//! `ja4sensor check`: checks whether the sensor can run with a configuration.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use ja4_common::filter_config::FilterConfig;
use ja4_common::tunnel::TunnelPorts;

use super::failure::Failure;
use super::lookup::print;
use super::run::error::attach_failure;
use super::run::startup::memory_plan;
use super::run::web;
use super::settings::{refused, warn};
use crate::capture::attach::{self, Attachment, HookChoice, Policy};
use crate::capture::ebpf::{Kernel, KernelSettings, Program};
use crate::capture::interface_list::InterfaceList;
use crate::capture::link_socket::LinkSocket;
use crate::capture::object;
use crate::config::{self, Config, OpenedConfig};
use crate::output::storage::check_unused;
use crate::system::privilege;

#[derive(Debug, Args)]
pub(super) struct CheckCommand {
    /// Configuration file [default: built-in defaults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Interface to check in place of the configured ones (repeatable), as with run
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
}

impl CheckCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { config: path, interfaces } = self;
        let flags = |config: &mut Config| {
            if !interfaces.is_empty() {
                config.capture.interfaces = interfaces;
            }
        };
        let OpenedConfig { config, loaded, warnings } = config::examine(path.as_deref(), flags).map_err(refused)?;
        warn(&warnings);
        let (mut out, mut prevented) = (String::new(), None);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // Writing to a String does not fail.
        let mut kernel = None;
        let _ = match load(config.capture.hook, config.tunnels.ports()) {
            Ok(loaded) => {
                kernel = Some(loaded);
                writeln!(out, "kernel {}: loads the BPF programs", release.trim())
            }
            Err(error) => {
                let line = writeln!(out, "kernel {}: cannot load the BPF programs: {error}", release.trim());
                prevented = Some(Failure::system(error));
                line
            }
        };
        let policy = Policy { hook: config.capture.hook, direction: config.capture.direction, ..Policy::default() };
        let table = LinkSocket::interfaces().map_err(Failure::run)?;
        let list = InterfaceList::new(&config.capture.interfaces);
        list.require_names(&table).map_err(Failure::usage)?;
        for pattern in list.unmatched(&table) {
            let _ = writeln!(out, "{pattern}: matches no interface now");
        }
        for interface in list.select(&table) {
            let _ = writeln!(out, "{}: {}", interface.name, Attachment::preview(interface, policy));
            let Some(kernel) = &mut kernel else { continue };
            let tried = match config.capture.hook {
                HookChoice::Generic => Attachment::try_out(kernel, interface.clone(), policy),
                _ => attach::load(kernel, [interface], policy),
            };
            prevented = prevented.or(tried.err().map(attach_failure));
        }
        // Dropping the server frees the port.
        prevented = prevented.or(web::bind(&config.http).map(drop).err());
        if let Some(path) = &config.storage.path {
            prevented = prevented.or(check_unused(path).err().map(Failure::run));
        }
        let _ = writeln!(out, "{}", loaded.known_bad);
        let _ = write!(out, "{}", memory_plan(&config));
        match path {
            Some(path) => out += &format!("{}: valid\n", path.display()),
            None => out += "no configuration file: built-in defaults\n",
        }
        print(&out)?;
        prevented.map_or(Ok(()), Err)
    }
}

/// Checks the capabilities, then loads the programs that these hooks need with the smallest maps.
fn load(hook: HookChoice, tunnel_ports: TunnelPorts) -> Result<Kernel, anyhow::Error> {
    privilege::require_capabilities()?;
    let mut filter_config = FilterConfig::new([0, 0]);
    filter_config.shards = 1;
    filter_config.tunnel_ports = tunnel_ports;
    let mut kernel =
        Kernel::load(object::bytes(), &KernelSettings { filter_config, ring_bytes: 64 << 10, flows: 1 << 10 })?;
    kernel.tc(Program::TcEgress)?;
    let requires_xdp = matches!(hook, HookChoice::Native | HookChoice::Generic);
    let xdp = if hook == HookChoice::Tc { None } else { Some(kernel.xdp(Program::Xdp).map(|_| ())) };
    match xdp {
        Some(Ok(())) => {}
        Some(Err(error)) if requires_xdp => return Err(error.into()),
        // Linux before 5.18 has no multi-buffer XDP; ingress falls back to tc.
        _ => {
            kernel.tc(Program::TcIngress)?;
        }
    }
    Ok(kernel)
}
