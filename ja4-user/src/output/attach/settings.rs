//! Settings of the attach socket.

use std::path::PathBuf;

use crate::document::settings;

settings! {
    /// Section `[attach]`: a Unix socket for `ja4sensor top`, `ja4sensor attach` and other local readers.
    #[derive(Eq)]
    pub struct AttachSettings {
        /// Whether a live sensor serves a socket.
        pub enabled: bool = true;
        /// The socket; default: `NAME.sock` in `/run/ja4sensor`, or in the first folder of `$RUNTIME_DIRECTORY`, if it can be
        /// created.
        pub socket: Option<PathBuf> = None;
        /// NAME of the default socket; default: the interface, if one is named, else `default`.
        pub name: Option<String> = None;
        /// Group that may connect too.
        pub group: Option<String> = None;
    }
}
