//! HASSH of an SSH client and HASSH server of an SSH server, from the algorithms of their KEXINIT messages.
//!
//! ```text
//! HASSH        = MD5(kex;encryption c2s;MAC c2s;compression c2s)
//! HASSH server = MD5(kex;encryption s2c;MAC s2c;compression s2c)
//! ```
//! The lists are hashed as sent, byte for byte.

use core::fmt;

use md5::{Digest, Md5};

use crate::fingerprint::md5_hex::Md5Hex;
use crate::wire::ssh::KexInit;

/// HASSH or HASSH server: an MD5 in lower-case hex.
///
/// ```no_run
/// use ja4::Hassh;
/// use ja4::wire::ssh::{SshMessage, SshStream};
///
/// # fn sent_by_client() -> Vec<u8> { Vec::new() }
/// SshStream::new().push(&sent_by_client(), |message| {
///     if let SshMessage::KexInit(message) = message {
///         println!("{}", Hassh::of_client(&message));
///     }
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hassh(Md5Hex);

impl Hassh {
    /// Characters of the printed form.
    pub const LEN: usize = Md5Hex::LEN;

    /// HASSH, of the KEXINIT that the client sent.
    #[must_use]
    pub fn of_client(message: &KexInit<'_>) -> Self {
        Self::of([message.kex, message.encryption_c2s, message.mac_c2s, message.compression_c2s])
    }

    /// HASSH server, of the KEXINIT that the server sent.
    #[must_use]
    pub fn of_server(message: &KexInit<'_>) -> Self {
        Self::of([message.kex, message.encryption_s2c, message.mac_s2c, message.compression_s2c])
    }

    fn of([first, others @ ..]: [&[u8]; 4]) -> Self {
        let mut md5 = Md5::new_with_prefix(first);
        for list in others {
            md5.update(b";");
            md5.update(list);
        }
        Self(Md5Hex::finish(md5))
    }

    /// The 32 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Hassh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Hassh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ssh::builder::kex_init;

    #[test]
    fn each_side_has_the_hash_of_its_own_direction() {
        let payload = kex_init([
            "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
            "ssh-ed25519",
            "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com",
            "aes128-ctr",
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512",
            "hmac-sha1",
            "none,zlib@openssh.com",
            "none",
            "",
            "",
        ]);
        let message = KexInit::parse(&payload).unwrap();
        assert_eq!(Hassh::of_client(&message).as_str(), "83e09a249075186473d1f0f9c9b9dfac");
        assert_eq!(Hassh::of_server(&message).as_str(), "95c2342ba286f948d68a435582779134");
    }

    #[test]
    fn empty_lists_keep_their_separators() {
        let payload = kex_init([""; 10]);
        let message = KexInit::parse(&payload).unwrap();
        assert_eq!(Hassh::of_client(&message).as_str(), "95420f9d932ddd22833f17b96a80bedb");
        assert_eq!(Hassh::of_client(&message), Hassh::of_server(&message));
    }
}
