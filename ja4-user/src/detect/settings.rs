//! Settings of detection that have no file of their own.

use std::path::PathBuf;

use super::local_networks::LocalNetworks;
use crate::document::settings;

settings! {
    /// Section `[network]`: the local network.
    #[derive(Eq)]
    pub struct NetworkSettings {
        /// Networks of local hosts.
        pub local: LocalNetworks = LocalNetworks::default();
    }
}

settings! {
    /// Section `[rules]`: threshold rules.
    #[derive(Eq)]
    pub struct RulesSettings {
        /// Whether the built-in threshold rules are evaluated.
        pub builtin: bool = true;
        /// Files of further rules. A rule replaces a built-in rule of the same name.
        pub files: Vec<PathBuf> = Vec::new();
    }
}

settings! {
    /// Section `[allowlist]`: suppressed alerts, and overrides of rules.
    #[derive(Eq)]
    pub struct AllowlistSettings {
        /// Allowlist files.
        pub files: Vec<PathBuf> = Vec::new();
    }
}
