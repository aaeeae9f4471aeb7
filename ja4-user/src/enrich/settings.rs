//! Settings of enrichment.

use std::fmt;
use std::path::PathBuf;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer, de};

use super::remote::RemoteSettings;
use crate::document::settings;

settings! {
    /// Section `[lookup]`: labels and known-bad patterns.
    #[derive(Eq)]
    pub struct LookupSettings {
        /// Whether the built-in labels are used.
        pub builtin_labels: bool = true;
        /// Label files besides the built-in labels: ja4plus-mapping.csv, or TOML.
        pub databases: Vec<PathBuf> = Vec::new();
        /// Known-bad list in place of the built-in one.
        pub known_bad: Option<PathBuf> = None;
        /// Known-bad lists that add to the list in force: a file, or an array of files.
        #[serde(deserialize_with = "one_or_more")]
        pub known_bad_extra: Vec<PathBuf> = Vec::new();
        /// Labels from a database on the network.
        pub remote: RemoteSettings = RemoteSettings::default();
    }
}

/// Reads a file, or an array of files.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    struct FilesVisitor;

    impl<'de> Visitor<'de> for FilesVisitor {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a file or an array of files")
        }

        fn visit_str<E: de::Error>(self, file: &str) -> Result<Self::Value, E> {
            Ok(vec![file.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            std::iter::from_fn(|| list.next_element().transpose()).collect()
        }
    }

    deserializer.deserialize_any(FilesVisitor)
}
