//! Settings of the attach socket.

use std::path::PathBuf;

use crate::document::settings;

settings! {
    /// Section `[attach]`: a Unix socket that streams events to local readers.
    #[derive(Eq)]
    pub struct AttachSettings {
        /// The socket; default: none.
        pub socket: Option<PathBuf> = None;
    }
}
