//! The interfaces of a running sensor: keeps the programs attached to those that the configuration selects.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::error::attach_failure;
use crate::capture::attach::{self, AttachError, Policy};
use crate::capture::attachment_set::{AttachmentChange, AttachmentSet, AttachmentStats};
use crate::capture::ebpf::Kernel;
use crate::capture::interface_list::InterfaceList;
use crate::capture::interface_table::InterfaceTable;
use crate::capture::link_socket::LinkSocket;
use crate::cli::failure::Failure;
use crate::model::{CounterGroup, InterfaceNames};
use crate::runtime::captured_interfaces::{CapturedInterfaces, InterfaceLookup};
use crate::runtime::link_monitor::LinkMonitor;
use crate::runtime::sensor_stats::InterfaceModes;

/// Interval at which an interface that could not be attached is tried again. Another program may have been detached from
/// it, of which the kernel reports nothing.
const RETRY: Duration = Duration::from_secs(5);

/// The interfaces that a configuration selects, before the programs are attached.
pub(super) struct SelectedInterfaces {
    socket: LinkSocket,
    table: InterfaceTable,
    list: InterfaceList,
}

/// The attached interfaces, and the changes that the kernel reports.
pub(super) struct InterfaceWatch {
    monitor: LinkMonitor,
    attachments: AttachmentSet,
    captured: CapturedInterfaces,
    /// Time of the next retry.
    retry: Instant,
}

impl SelectedInterfaces {
    /// Lists the interfaces.
    ///
    /// # Errors
    /// If a configured name does not exist, or the interfaces cannot be listed.
    pub(super) fn find(selections: &[String]) -> Result<Self, Failure> {
        let list = InterfaceList::new(selections);
        let (socket, table) = LinkSocket::subscribe().map_err(Failure::run)?;
        list.require_names(&table).map_err(Failure::usage)?;
        Ok(Self { socket, table, list })
    }

    /// Logs the patterns that match no interface.
    pub(super) fn log_unmatched(&self) {
        for pattern in self.list.unmatched(&self.table) {
            tracing::warn!("{pattern} matches no interface yet");
        }
    }

    /// Loads the programs for the interfaces that exist.
    pub(super) fn load_programs(&self, kernel: &mut Kernel, policy: Policy) -> Result<(), Failure> {
        attach::load(kernel, self.list.select(&self.table), policy).map_err(attach_failure)
    }

    /// Attaches the programs.
    ///
    /// # Errors
    /// If they cannot be attached to an interface that the configuration names, or a privilege is missing.
    pub(super) fn attach(
        self,
        kernel: &mut Kernel,
        policy: Policy,
        names: Arc<InterfaceNames>,
    ) -> Result<(InterfaceWatch, Vec<AttachmentChange>), Failure> {
        let mut watch = InterfaceWatch {
            monitor: LinkMonitor::start(self.socket, self.table).map_err(Failure::run)?,
            attachments: AttachmentSet::new(self.list, policy),
            captured: CapturedInterfaces::new(names),
            retry: Instant::now() + RETRY,
        };
        let mut changes = watch.reconcile(kernel)?;
        while watch.attachments.is_pending() {
            changes.extend(watch.reconcile(kernel)?);
        }
        let is_fatal = |name: &str, error: &AttachError| {
            matches!(error, AttachError::Kernel(_)) || watch.attachments.list().names(name)
        };
        let mut logged = Vec::new();
        for change in changes {
            match change {
                AttachmentChange::Failed { name, error } if is_fatal(&name, &error) => {
                    return Err(attach_failure(error));
                }
                change => logged.push(change),
            }
        }
        Ok((watch, logged))
    }
}

impl InterfaceWatch {
    /// Waits until there is work for [`Self::reconcile`]: interfaces have changed, the last call was not complete, or an
    /// interface that could not be attached is due to be tried again.
    pub(super) async fn changed(&self) {
        if self.attachments.is_pending() {
            return;
        }
        tokio::select! {
            () = self.monitor.changed() => {}
            () = sleep_until(self.retry), if self.attachments.is_failing() => {}
        }
    }

    /// Attaches and detaches according to the current interfaces. Returns the changes for the log.
    ///
    /// # Errors
    /// If the interfaces are not known any more.
    pub(super) fn reconcile(&mut self, kernel: &mut Kernel) -> Result<Vec<AttachmentChange>, Failure> {
        let table = self.monitor.snapshot().map_err(Failure::run)?;
        let selected = self.attachments.list().select(&table);
        self.captured.publish(selected.iter().map(|interface| (interface.index, interface.name.as_str())));
        self.retry = Instant::now() + RETRY;
        Ok(self.attachments.reconcile(kernel, &table))
    }

    /// Returns the lookup of a shard.
    pub(super) fn lookup(&self) -> InterfaceLookup {
        self.captured.lookup()
    }

    /// Returns a text for each configured interface that is not watched.
    pub(super) fn unwatched(&self) -> Vec<String> {
        self.attachments.unwatched().map(|(name, why)| format!("{name}: {why}")).collect()
    }

    /// Returns the hooks by interface, for `stats`.
    pub(super) fn modes(&self) -> InterfaceModes {
        let mut interfaces = CounterGroup::default();
        for attachment in self.attachments.attached() {
            let mut modes = CounterGroup::default();
            modes.text("ingress", attachment.ingress_mode());
            if !attachment.ingress_reason().is_empty() {
                modes.text("reason", attachment.ingress_reason());
            }
            modes.text("egress", attachment.egress_mode());
            interfaces.group(attachment.interface.name.clone(), modes);
        }
        for (name, why) in self.attachments.unwatched() {
            let mut modes = CounterGroup::default();
            modes.text("ingress", "none").text("reason", why).text("egress", "none");
            interfaces.group(name.to_owned(), modes);
        }
        InterfaceModes(interfaces)
    }

    /// Returns the counters.
    pub(super) fn stats(&self) -> AttachmentStats {
        AttachmentStats {
            overruns: self.monitor.overruns(),
            unnamed: self.captured.names().refused(),
            ..self.attachments.stats()
        }
    }

    /// Detaches the programs from all interfaces.
    pub(super) fn detach(&mut self) {
        log(&self.attachments.detach_all());
    }
}

/// Logs changes.
pub(super) fn log(changes: &[AttachmentChange]) {
    for change in changes {
        match change {
            AttachmentChange::Attached { .. } | AttachmentChange::Renamed { .. } => tracing::info!("{change}"),
            AttachmentChange::Detached { .. } => tracing::debug!("{change}"),
            AttachmentChange::NotDetached(_) => tracing::error!("{change}"),
            _ => tracing::warn!("{change}"),
        }
    }
}
