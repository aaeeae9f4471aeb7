//! The configuration: all sections, which the layers declare.

use std::path::Path;

use crate::api::HttpSettings;
use crate::capture::{CaptureSettings, TunnelSettings};
use crate::detect::builtin::BuiltinSettings;
use crate::detect::first_seen::FirstSeenSettings;
use crate::detect::profile::ProfileSettings;
use crate::detect::settings::{AllowlistSettings, NetworkSettings, RulesSettings};
use crate::document::settings;
use crate::enrich::LookupSettings;
use crate::output::OutputSettings;
use crate::output::alert::AlertsSettings;
use crate::output::attach::AttachSettings;
use crate::output::storage::StorageSettings;

settings! {
    /// A whole configuration. Every key has a default, so an empty file is valid.
    pub struct Config {
        /// `[capture]`
        pub capture: CaptureSettings = CaptureSettings::default();
        /// `[tunnels]`
        pub tunnels: TunnelSettings = TunnelSettings::default();
        /// `[output]`
        pub output: OutputSettings = OutputSettings::default();
        /// `[network]`
        pub network: NetworkSettings = NetworkSettings::default();
        /// `[lookup]`
        pub lookup: LookupSettings = LookupSettings::default();
        /// `[first_seen]`
        pub first_seen: FirstSeenSettings = FirstSeenSettings::default();
        /// `[profiles]`
        pub profiles: ProfileSettings = ProfileSettings::default();
        /// `[builtin.NAME]`
        pub builtin: BuiltinSettings = BuiltinSettings::default();
        /// `[rules]`
        pub rules: RulesSettings = RulesSettings::default();
        /// `[allowlist]`
        pub allowlist: AllowlistSettings = AllowlistSettings::default();
        /// `[alerts]`
        pub alerts: AlertsSettings = AlertsSettings::default();
        /// `[storage]`
        pub storage: StorageSettings = StorageSettings::default();
        /// `[http]`
        pub http: HttpSettings = HttpSettings::default();
        /// `[attach]`
        pub attach: AttachSettings = AttachSettings::default();
    }
}

impl Config {
    /// Returns the names of sections that differ in settings which a reload cannot change.
    #[must_use]
    pub(crate) fn fixed_sections(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("capture", self.capture != other.capture),
            ("tunnels", self.tunnels != other.tunnels),
            ("output", self.output != other.output),
            ("network", self.network != other.network),
            ("lookup.remote", self.lookup.remote != other.lookup.remote),
            ("first_seen", self.first_seen != other.first_seen),
            ("storage", self.storage != other.storage),
            ("http", self.http != other.http),
            ("attach", self.attach != other.attach),
        ];
        differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }

    /// Resolves relative paths against `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let LookupSettings { databases, known_bad, known_bad_extra, remote, .. } = &mut self.lookup;
        let HttpSettings { token_file, socket, .. } = &mut self.http;
        let lists = [databases, known_bad_extra, &mut self.rules.files, &mut self.allowlist.files];
        let one = [
            known_bad,
            &mut remote.tls.ca,
            &mut self.storage.path,
            &mut self.attach.socket,
            token_file,
            socket,
            &mut self.output.pcap.path,
        ]
        .into_iter()
        .flatten();
        let sinks = self.alerts.sink.iter_mut().flat_map(|sink| sink.paths_mut());
        let files = self.output.files.iter_mut().filter_map(|file| file.path.as_mut());
        for path in one.chain(sinks).chain(files).chain(lists.into_iter().flatten()) {
            // `join` leaves an absolute path unchanged. An empty path is an error, not the folder.
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
    }
}
