//! Fingerprints of messages.
//!
//! The JA4+ methods other than JA4 are under the FoxIO License 1.1: all their formulas are in [`ja4plus`].

#[cfg(feature = "ja4plus")]
pub(crate) mod functions;
mod hash;
mod hashers;
mod hassh;
mod input;
mod ja3;
mod ja4;
#[cfg(feature = "ja4plus")]
mod ja4plus;
#[cfg(not(feature = "ja4plus"))]
mod ja4plus {
    //! Replaces the JA4+ methods in a build without them.
    pub(super) mod hashers {
        use crate::fingerprint::input::Input;
        use crate::fingerprint::list::Memo;
        use crate::fingerprint::value::{Fingerprint, Forms};

        pub(in crate::fingerprint) struct PlusHashers;

        impl PlusHashers {
            pub(in crate::fingerprint) const fn new(_: fn() -> Memo) -> Self {
                Self
            }

            pub(in crate::fingerprint) fn write(&mut self, _: Input<'_>, _: Forms, _: &mut Fingerprint) -> bool {
                false
            }
        }
    }
}
mod list;
mod md5_hex;
mod retransmissions;
mod ssh_window;
mod text;
mod value;

pub use hash::H12;
pub use hashers::{Hashers, ja4};
pub use hassh::Hassh;
pub use input::Input;
pub use ja3::Ja3;
pub use md5_hex::Md5Hex;
pub use retransmissions::Retransmissions;
pub use ssh_window::SshWindow;
pub use value::{Fingerprint, Forms};
