//! The attachments of a run: attaches to the interfaces that are selected, and detaches from those that are not any more.
//!
//! An interface is identified by its index: one that is created again has another index and is attached again, while a
//! renamed one stays attached if the list selects its new name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::attach::{AttachError, Attachment, Policy};
use super::ebpf::Kernel;
use super::interface::Interface;
use super::interface_list::InterfaceList;
use super::interface_table::InterfaceTable;
use crate::model::counter_set;

/// Time of one call of [`AttachmentSet::reconcile`]. Attaching takes some 10 ms for each interface, and the control plane
/// sets the kernel half's clock ten times a second.
const SLICE: Duration = Duration::from_millis(50);

/// The attachments to the interfaces of a list.
#[derive(Debug)]
pub struct AttachmentSet {
    list: InterfaceList,
    policy: Policy,
    /// In the order of attaching.
    attached: Vec<Attachment>,
    /// Selected interfaces that could not be attached, by index.
    failing: BTreeMap<u32, FailingInterface>,
    /// Names in the list without an interface.
    missing: Vec<String>,
    /// Removed interfaces that may still be in `attached`.
    removed: BTreeSet<u32>,
    /// The last call of [`Self::reconcile`] has stopped early.
    is_pending: bool,
    counts: ChangeCounts,
}

/// A selected interface that could not be attached.
#[derive(Debug)]
struct FailingInterface {
    name: String,
    cause: String,
}

/// Changes since the start.
#[derive(Clone, Copy, Debug, Default)]
struct ChangeCounts {
    attached: u64,
    detached: u64,
    failed: u64,
}

counter_set! {
    /// Attachments to interfaces, and their changes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AttachmentStats as interfaces {
        /// Interfaces that the programs are attached to.
        gauge attached,
        /// Selected interfaces that the programs cannot be attached to.
        gauge failing,
        /// Configured names without an interface.
        gauge missing,
        /// Times that the programs were attached to an interface.
        counter attaches,
        /// Times that the programs were detached from an interface, or the interface was removed.
        counter detaches,
        /// Attempts to attach the programs that failed.
        counter failures,
        /// Times that the kernel dropped changes of interfaces because its queue was full; the interfaces were listed again.
        counter overruns,
        /// Interfaces without a name in events, because 65,536 names are in use.
        counter unnamed,
    }
}

/// A change of an attachment, for the log.
#[derive(Debug)]
pub enum AttachmentChange {
    /// The programs were attached.
    Attached {
        /// The interface with its hooks.
        description: String,
    },
    /// The interface was removed: deleted, or moved to another network namespace.
    Removed {
        /// Name of the interface.
        name: String,
    },
    /// The interface was renamed, and the programs stay attached.
    Renamed {
        /// The earlier name.
        from: String,
        /// The new name.
        to: String,
    },
    /// The interface was renamed, and the list does not select the new name.
    RenamedAway {
        /// The earlier name.
        from: String,
        /// The new name.
        to: String,
    },
    /// `any` does not select an interface that is down.
    Down {
        /// Name of the interface.
        name: String,
    },
    /// The programs could not be attached.
    Failed {
        /// Name of the interface.
        name: String,
        /// The cause.
        error: AttachError,
    },
    /// The programs were detached at the end of the run.
    Detached {
        /// Name of the interface.
        name: String,
    },
    /// The programs were not detached completely.
    NotDetached(AttachError),
}

impl fmt::Display for AttachmentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attached { description } => f.write_str(description),
            Self::Detached { name } => write!(f, "{name}: detached"),
            Self::Removed { name } => write!(f, "{name}: detached, the interface was removed"),
            Self::Renamed { from, to } => write!(f, "{from}: renamed to {to}"),
            Self::RenamedAway { from, to } => write!(f, "{from}: detached, renamed to {to}, which is not selected"),
            Self::Down { name } => write!(f, "{name}: detached, the interface is down"),
            Self::Failed { error, .. } | Self::NotDetached(error) => write!(f, "{error}"),
        }
    }
}

impl AttachmentSet {
    /// Returns a set that is not attached yet.
    #[must_use]
    pub fn new(list: InterfaceList, policy: Policy) -> Self {
        Self {
            list,
            policy,
            attached: Vec::new(),
            failing: BTreeMap::new(),
            missing: Vec::new(),
            removed: BTreeSet::new(),
            is_pending: false,
            counts: ChangeCounts::default(),
        }
    }

    /// The list that selects the interfaces.
    #[must_use]
    pub const fn list(&self) -> &InterfaceList {
        &self.list
    }

    /// The current attachments.
    #[must_use]
    pub fn attached(&self) -> &[Attachment] {
        &self.attached
    }

    /// Detaches from every interface that is not selected, and attaches to every selected one. Interfaces that could not be
    /// attached before are tried again; the same failure is not returned again. Stops after `SLICE`: then
    /// [`Self::is_pending`] returns true.
    pub fn reconcile(&mut self, kernel: &mut Kernel, table: &InterfaceTable) -> Vec<AttachmentChange> {
        let until = Instant::now() + SLICE;
        let selected = self.list.select(table);
        self.removed.extend(table.removed());
        self.failing.retain(|index, _| selected.iter().any(|interface| interface.index == *index));
        self.missing = self.list.missing(table);
        let mut changes = Vec::new();
        let is_complete = self.detach_others(table, &selected, until, &mut changes)
            && self.attach_selected(kernel, &selected, until, &mut changes);
        self.is_pending = !is_complete;
        changes
    }

    /// Detaches from the interfaces that are gone or not selected, and renames the others. Returns false if that is not
    /// complete.
    fn detach_others(
        &mut self,
        table: &InterfaceTable,
        selected: &[&Interface],
        until: Instant,
        changes: &mut Vec<AttachmentChange>,
    ) -> bool {
        let mut attachments = std::mem::take(&mut self.attached).into_iter();
        for mut attachment in attachments.by_ref() {
            let index = attachment.interface.index;
            let name = attachment.interface.name.clone();
            let was_removed = self.removed.remove(&index);
            let change = match table.get(index).filter(|_| !was_removed) {
                None => AttachmentChange::Removed { name },
                Some(interface) if selected.iter().any(|selected| selected.index == index) => {
                    if interface.name != name {
                        changes.push(AttachmentChange::Renamed { from: name, to: interface.name.clone() });
                    }
                    attachment.interface = interface.clone();
                    self.attached.push(attachment);
                    continue;
                }
                Some(interface) if interface.name != name => {
                    AttachmentChange::RenamedAway { from: name, to: interface.name.clone() }
                }
                Some(_) => AttachmentChange::Down { name },
            };
            self.counts.detached += 1;
            changes.push(change);
            changes.extend(attachment.detach().err().map(AttachmentChange::NotDetached));
            if Instant::now() >= until {
                break;
            }
        }
        let is_complete = attachments.len() == 0;
        self.attached.extend(attachments);
        if is_complete {
            // The others were not attached.
            self.removed.clear();
        }
        is_complete
    }

    /// Attaches to the selected interfaces. Returns false if that is not complete.
    fn attach_selected(
        &mut self,
        kernel: &mut Kernel,
        selected: &[&Interface],
        until: Instant,
        changes: &mut Vec<AttachmentChange>,
    ) -> bool {
        let is_attached =
            |interface: &&&Interface| self.attached.iter().any(|other| other.interface.index == interface.index);
        let mut waiting: Vec<_> = selected.iter().filter(|interface| !is_attached(interface)).collect();
        // Those that could not be attached before come last, and may wait for the next call.
        waiting.sort_by_key(|interface| self.failing.contains_key(&interface.index));
        for interface in waiting {
            if Instant::now() >= until {
                return self.failing.contains_key(&interface.index);
            }
            match Attachment::new(kernel, (*interface).clone(), self.policy) {
                Ok(attachment) => {
                    self.counts.attached += 1;
                    self.failing.remove(&interface.index);
                    changes.push(AttachmentChange::Attached { description: attachment.describe() });
                    self.attached.push(attachment);
                }
                // Its removal or its new name is reported in a moment.
                Err(AttachError::Gone(_)) => {}
                Err(error) => {
                    self.counts.failed += 1;
                    let (name, cause) = (interface.name.clone(), error.to_string());
                    let failing = FailingInterface { name: name.clone(), cause };
                    let earlier = self.failing.insert(interface.index, failing);
                    if earlier.is_none_or(|earlier| earlier.cause != error.to_string()) {
                        changes.push(AttachmentChange::Failed { name, error });
                    }
                }
            }
        }
        true
    }

    /// Whether the last [`Self::reconcile`] has stopped early.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Detaches from all interfaces. Returns the errors.
    pub fn detach_all(&mut self) -> Vec<AttachmentChange> {
        let detach = |attachment: Attachment| {
            let name = attachment.interface.name.clone();
            attachment.detach().map_or_else(AttachmentChange::NotDetached, |()| AttachmentChange::Detached { name })
        };
        self.attached.drain(..).map(detach).collect()
    }

    /// Whether a selected interface could not be attached.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        !self.failing.is_empty()
    }

    /// Returns each interface that is not watched although it is configured, with the reason.
    pub fn unwatched(&self) -> impl Iterator<Item = (&str, &str)> {
        let failing = self.failing.values().map(|failing| (&*failing.name, &*failing.cause));
        self.missing.iter().map(|name| (&**name, "there is no such interface")).chain(failing)
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> AttachmentStats {
        AttachmentStats {
            attached: self.attached.len() as u64,
            failing: self.failing.len() as u64,
            missing: self.missing.len() as u64,
            attaches: self.counts.attached,
            detaches: self.counts.detached,
            failures: self.counts.failed,
            ..AttachmentStats::default()
        }
    }
}
