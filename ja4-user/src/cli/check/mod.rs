//! `ja4sensor check`: checks whether the sensor can run with a configuration.

mod finding;
mod interface;
mod kernel;
mod machine;

use std::path::PathBuf;

use anyhow::{Error, anyhow};
use clap::{Args, ValueEnum};
use ja4_common::filter_config::FilterConfig;

use self::finding::{CheckReport, Finding};
use self::kernel::KernelRelease;
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

    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
}

/// Output format of `check`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum CheckFormat {
    /// A line for each finding, followed by the fix
    #[default]
    Text,
    /// One JSON object
    Json,
}

impl CheckCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { config: path, interfaces, format } = self;
        let flags = |config: &mut Config| {
            if !interfaces.is_empty() {
                config.capture.interfaces = interfaces;
            }
        };
        let OpenedConfig { config, loaded, warnings } = config::examine(path.as_deref(), flags).map_err(refused)?;
        warn(&warnings);
        let mut findings = Vec::new();
        let mut prevented = examine_kernel(&config, &mut findings)?;
        prevented = prevented.or(examine_services(&config, &mut findings));
        findings.extend(machine::findings(&config));
        findings.push(Finding::ok("detection.known_bad", loaded.known_bad.to_string()));
        findings.push(Finding::ok("machine.memory_plan", memory_plan(&config).to_string()));
        findings.push(match path {
            Some(path) => Finding::ok("configuration", format!("{}: valid", path.display())),
            None => Finding::ok("configuration", "no configuration file: built-in defaults"),
        });
        // An error that no attempt has shown.
        let failed = findings.iter().find(|finding| finding.is_error());
        prevented = prevented.or(failed.map(|finding| Failure::system(anyhow!("{}", finding.message()))));
        let report = CheckReport::new(prevented.is_none(), findings);
        print(&match format {
            CheckFormat::Text => report.text(),
            CheckFormat::Json => serde_json::to_string(&report).map_err(Failure::run)? + "\n",
        })?;
        prevented.map_or(Ok(()), Err)
    }
}

/// Loads the programs and tries the hooks. Returns what prevents a run.
fn examine_kernel(config: &Config, findings: &mut Vec<Finding>) -> Result<Option<Failure>, Failure> {
    let release = KernelRelease::read();
    let (hook, direction) = (config.capture.hook, config.capture.direction);
    let mut prevented = None;
    let privilege = privilege::require_capabilities();
    findings.push(match &privilege {
        Ok(()) => Finding::ok("process.capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are present"),
        Err(error) => Finding::error("process.capabilities", error.to_string()),
    });
    findings.extend(kernel::findings(&release, privilege.is_ok()));
    let loaded = privilege.map_err(Error::from).and_then(|()| load(config));
    let mut kernel = match loaded {
        Ok(loaded) => {
            findings.push(Finding::ok("kernel.programs", format!("kernel {}: loads the BPF programs", release.text)));
            Some(loaded)
        }
        Err(error) => {
            let message = format!("kernel {}: cannot load the BPF programs: {error}", release.text);
            findings.push(Finding::error("kernel.programs", message));
            prevented = Some(Failure::system(error));
            None
        }
    };
    let policy = Policy { hook, direction, ..Policy::default() };
    let table = LinkSocket::interfaces().map_err(Failure::run)?;
    let list = InterfaceList::new(&config.capture.interfaces);
    list.require_names(&table).map_err(Failure::usage)?;
    for pattern in list.unmatched(&table) {
        findings.push(Finding::ok("interface.pattern", format!("{pattern}: matches no interface now")));
    }
    for interface in list.select(&table) {
        findings.extend(interface::findings(interface, policy, &release));
        let Some(kernel) = &mut kernel else { continue };
        let tried = match hook {
            HookChoice::Generic => Attachment::try_out(kernel, interface.clone(), policy),
            _ => attach::load(kernel, [interface], policy),
        };
        if let Err(error) = tried {
            findings.push(Finding::error("interface.attach", error.to_string()).of_interface(&interface.name));
            prevented = prevented.or(Some(attach_failure(error)));
        }
    }
    Ok(prevented)
}

/// Tries the port and the lock of the database. Returns what prevents a run.
fn examine_services(config: &Config, findings: &mut Vec<Finding>) -> Option<Failure> {
    // The server frees the port when it is dropped.
    let port = web::bind(&config.http);
    findings.push(match &port {
        Ok(Some(server)) => {
            let places: Vec<_> = server.listens_on().collect();
            Finding::ok("http.listen", format!("{} can be bound", places.join(", ")))
        }
        Ok(None) => Finding::ok("http.listen", "no HTTP server"),
        Err(failure) => Finding::error("http.listen", failure.to_string()),
    });
    let database = config.storage.path.as_deref().map_or(Ok(()), check_unused).map_err(Failure::run);
    if let Err(failure) = &database {
        findings.push(Finding::error("storage.path", failure.to_string()));
    }
    port.err().or(database.err())
}

/// Loads the programs that these hooks need with the smallest maps.
fn load(config: &Config) -> Result<Kernel, Error> {
    let hook = config.capture.hook;
    let mut filter_config = FilterConfig::new([0, 0]);
    filter_config.shards = 1;
    filter_config.tunnel_ports = config.tunnels.ports();
    filter_config.capture_filter = config.capture.capture_filter();
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
