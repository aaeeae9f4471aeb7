//! The part of the engine that all its threads share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arcstr::ArcStr;
use crossbeam_channel::Receiver;

use super::finished::{Finished, Sighted};
use super::line_formatters::LineFormatters;
use super::outputs::EngineOutputs;
use super::restore::SavedState;
use super::state_keeper::StateKeeper;
use crate::detect::DetectionContent;
use crate::detect::detectors::{ActiveContent, Detectors};
use crate::detect::first_seen;
use crate::detect::local_networks::LocalNetworks;
use crate::detect::rules::GroupLimits;
use crate::encode::{EncodeContext, Format};
use crate::enrich::remote::{Remote, RemoteAnswer};
use crate::model::{ConnectionRecord, FingerprintRecord, InterfaceNames, Label, Method, Side, Time};

/// Settings of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// Format of the lines of standard output; `None`: nothing is printed.
    pub format: Option<Format>,
    /// Local networks.
    pub locals: LocalNetworks,
    /// Settings of first-seen.
    pub first_seen: first_seen::FirstSeenSettings,
    /// Limits of the groups of threshold rules.
    pub rule_groups: GroupLimits,
}

/// The engine. See the [module documentation](super).
#[derive(Debug)]
pub struct Engine {
    pub(super) detectors: Detectors,
    pub(super) active: RwLock<Arc<ActiveContent>>,
    pub(super) remote: Option<Mutex<Remote>>,
    pub(super) outputs: EngineOutputs,
    pub(super) keeper: Mutex<StateKeeper>,
    pub(super) format: Option<Format>,
    pub(super) context: Arc<EncodeContext>,
    /// Start of the learning period, as stored; `u64::MAX`: none.
    pub(super) learning_stored: AtomicU64,
    pub(super) reloads: AtomicU64,
    /// Connections that the end of the run had no time for.
    pub(super) end_lost: AtomicU64,
}

impl Engine {
    /// Creates an engine with detection content and saved state.
    #[must_use]
    pub fn new(
        settings: &EngineSettings,
        content: DetectionContent,
        memory: SavedState,
        remote: Option<Remote>,
        context: &Arc<EncodeContext>,
        outputs: EngineOutputs,
    ) -> Self {
        let is_replay = outputs.waits();
        let learning_since = memory.learning_since.or_else(|| {
            let firsts = memory.first_seen.iter().map(|row| row.first);
            firsts.min().filter(|_| is_replay)
        });
        let formatters = LineFormatters::new(settings.format, context, outputs.file_formatters(), outputs.attach());
        let keeper = StateKeeper::new(&settings.first_seen, formatters, &content, context);
        let (detectors, active) = Detectors::new(
            (&settings.first_seen, settings.rule_groups),
            settings.locals.clone(),
            learning_since,
            &memory.own,
            content,
            Arc::clone(&context.interfaces),
            is_replay,
        );
        detectors.load(memory.first_seen, memory.profiles);
        Self {
            detectors,
            active: RwLock::new(Arc::new(active)),
            remote: remote.map(Mutex::new),
            outputs,
            keeper: Mutex::new(keeper),
            format: settings.format,
            context: Arc::clone(context),
            learning_stored: AtomicU64::new(stored(memory.learning_since)),
            reloads: AtomicU64::new(0),
            end_lost: AtomicU64::new(0),
        }
    }

    /// Adds the receiver of the saved state of databases that are opened later.
    #[must_use]
    pub(crate) fn with_restored(self, restored: Option<Receiver<SavedState>>) -> Self {
        self.keeper().restored = restored;
        self
    }

    /// The content in force.
    pub fn active(&self) -> Arc<ActiveContent> {
        Arc::clone(&self.read_active())
    }

    /// The content in force, which no reload replaces until the guard is dropped.
    pub(crate) fn read_active(&self) -> RwLockReadGuard<'_, Arc<ActiveContent>> {
        self.active.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encoders for a thread.
    pub(crate) fn formatters(&self) -> LineFormatters {
        LineFormatters::new(self.format, &self.context, self.outputs.file_formatters(), self.outputs.attach())
    }

    /// Names of the interfaces, by the index in records.
    pub(crate) fn interfaces(&self) -> &InterfaceNames {
        &self.context.interfaces
    }

    /// Number of event files.
    pub(crate) fn event_files(&self) -> usize {
        self.outputs.event_files()
    }

    pub(crate) const fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    pub(super) fn keeper(&self) -> MutexGuard<'_, StateKeeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces rules and label databases. Unchanged rules keep their windows and profiles.
    pub fn reload(&self, mut content: DetectionContent) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowlist) = Arc::get_mut(&mut content.allowlist) {
            *allowlist = std::mem::take(allowlist).following(&active.content.allowlist);
        }
        self.detectors.reload(&content);
        let matcher = active.matcher.reloaded(&content.rules, Arc::clone(&content.allowlist));
        *active = Arc::new(ActiveContent { content, matcher });
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks the last fingerprint of a record up in the first-seen history.
    pub(crate) fn sight(&self, record: &ConnectionRecord, now: Time) -> Sighted {
        let mut sighted = Sighted::default();
        if let Some(seen) = record.history.last() {
            for host in self.sightings(record, seen) {
                let part = self.detectors.value_part(seen.method, &seen.value.text, host);
                self.sight_part(part, seen, host, now, &mut sighted);
            }
        }
        sighted
    }

    /// The tracked sightings of a fingerprint: on the network (`None`), and of a host.
    pub(crate) fn sightings(
        &self,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
    ) -> impl Iterator<Item = Option<IpAddr>> + use<> {
        let (host, _) = match seen.side() {
            Side::Client => record.identity.client,
            Side::Server => record.identity.server,
        };
        let scope = self.detectors.scope();
        let network = scope.tracks(seen.method).then_some(None);
        let of_host = scope.tracks_host(seen.method, host).then_some(Some(host));
        network.into_iter().chain(of_host)
    }

    /// Checks one sighting in its part. A new row is added to `sighted`, if it is to be stored.
    pub(crate) fn sight_part(
        &self,
        part: u8,
        seen: &FingerprintRecord,
        host: Option<IpAddr>,
        now: Time,
        sighted: &mut Sighted,
    ) {
        let (method, value) = (&seen.method, &seen.value.text);
        let firsts = &mut self.detectors.part(part).first_seen;
        let Sighted { sighting, rows } = sighted;
        let text = || ArcStr::clone(value);
        match host {
            None => firsts.check_network(*method, value, now, sighting, text),
            Some(host) => firsts.check_host(*method, value, host, now, sighting, text),
        }
        let is_new = if host.is_some() { sighting.entered_for_host } else { sighting.entered };
        if is_new && self.outputs.stores() {
            rows.extend(firsts.drain_entered(*method, value, host));
        }
    }

    /// Returns the label of a value from the cache of the remote lookup; enqueues a request if it is unknown.
    pub(super) fn remote_label(&self, method: Method, value: &str) -> Option<Arc<Label>> {
        let mut remote = self.remote.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        match remote.lookup(method, value) {
            Some(RemoteAnswer::Known(label)) => Some(label),
            _ => None,
        }
    }

    /// Whether there is a database.
    pub(crate) const fn stores(&self) -> bool {
        self.outputs.stores()
    }

    /// Sends finished rows and alerts to their outputs.
    pub(crate) fn deliver(&self, finished: &mut Finished) {
        self.outputs.deliver(finished);
    }

    /// The same at the end of a thread: event files get all lines that they have room for in time.
    pub(crate) fn deliver_last(&self, finished: &mut Finished) {
        self.outputs.deliver(finished);
        self.outputs.finish_files(finished);
    }

    /// Receives responses of the remote lookup; they are in the cache from then on.
    pub(super) fn drain_remote(&self) {
        if let Some(remote) = &self.remote {
            let mut remote = remote.lock().unwrap_or_else(PoisonError::into_inner);
            while remote.drain().is_some() {}
        }
    }
}

/// A time as a number, for an atomic.
pub(super) fn stored(time: Option<Time>) -> u64 {
    time.map_or(u64::MAX, |time| time.0)
}
