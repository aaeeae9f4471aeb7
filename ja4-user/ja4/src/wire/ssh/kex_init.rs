//! SSH_MSG_KEXINIT (RFC 4253, section 7.1).

use crate::wire::{Cursor, WireError};

/// Message number (RFC 4253, section 12).
pub(super) const SSH_MSG_KEXINIT: u8 = 20;

/// The algorithms that one side offers. A name-list is stored as sent: names joined with `,`, possibly none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KexInit<'a> {
    /// Random bytes.
    pub cookie: &'a [u8; 16],
    /// kex_algorithms, extension markers such as `ext-info-c` included.
    pub kex: &'a [u8],
    /// server_host_key_algorithms
    pub host_key: &'a [u8],
    /// Encryption, client to server.
    pub encryption_c2s: &'a [u8],
    /// Encryption, server to client.
    pub encryption_s2c: &'a [u8],
    /// MAC, client to server.
    pub mac_c2s: &'a [u8],
    /// MAC, server to client.
    pub mac_s2c: &'a [u8],
    /// Compression, client to server.
    pub compression_c2s: &'a [u8],
    /// Compression, server to client.
    pub compression_s2c: &'a [u8],
    /// Languages, client to server; mostly empty.
    pub languages_c2s: &'a [u8],
    /// Languages, server to client; mostly empty.
    pub languages_s2c: &'a [u8],
    /// A guessed key exchange packet follows.
    pub first_kex_packet_follows: bool,
}

impl<'a> KexInit<'a> {
    /// Parses the payload of a binary packet, its message number included.
    ///
    /// # Errors
    /// [`WireError::Magic`] for another message, [`WireError::Truncated`] if a field is missing,
    /// [`WireError::BadLength`] if a list exceeds the payload, [`WireError::TrailingBytes`] if bytes follow.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(payload);
        if cursor.u8()? != SSH_MSG_KEXINIT {
            return Err(WireError::Magic);
        }
        // The fields of the struct are in wire order.
        let message = Self {
            cookie: cursor.array()?,
            kex: name_list(&mut cursor)?,
            host_key: name_list(&mut cursor)?,
            encryption_c2s: name_list(&mut cursor)?,
            encryption_s2c: name_list(&mut cursor)?,
            mac_c2s: name_list(&mut cursor)?,
            mac_s2c: name_list(&mut cursor)?,
            compression_c2s: name_list(&mut cursor)?,
            compression_s2c: name_list(&mut cursor)?,
            languages_c2s: name_list(&mut cursor)?,
            languages_s2c: name_list(&mut cursor)?,
            first_kex_packet_follows: cursor.u8()? != 0,
        };
        // Reserved; any value is accepted.
        cursor.u32()?;
        cursor.finish()?;
        Ok(message)
    }
}

/// A length of four bytes, then this many bytes (RFC 4251, section 5).
fn name_list<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let length = cursor.u32()?;
    let length = usize::try_from(length).map_err(|_| WireError::BadLength)?;
    cursor.take(length).map_err(|_| WireError::BadLength)
}

#[cfg(test)]
pub(crate) mod builder {
    //! KEXINIT messages for tests.

    /// The payload of a KEXINIT with these ten lists.
    pub(crate) fn kex_init(lists: [&str; 10]) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend([0xcc; 16]);
        for list in lists {
            payload.extend((list.len() as u32).to_be_bytes());
            payload.extend(list.as_bytes());
        }
        payload.extend([0; 5]);
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [&str; 10] = ["kex", "key", "enc1", "enc2", "mac1", "mac2", "comp1", "comp2", "", "en"];

    #[test]
    fn lists_are_in_the_order_of_the_rfc() {
        let payload = builder::kex_init(LISTS);
        let message = KexInit::parse(&payload).unwrap();
        assert_eq!(message.cookie, &[0xcc; 16]);
        assert_eq!((message.kex, message.host_key), (&b"kex"[..], &b"key"[..]));
        assert_eq!((message.encryption_c2s, message.encryption_s2c), (&b"enc1"[..], &b"enc2"[..]));
        assert_eq!((message.mac_c2s, message.mac_s2c), (&b"mac1"[..], &b"mac2"[..]));
        assert_eq!((message.compression_c2s, message.compression_s2c), (&b"comp1"[..], &b"comp2"[..]));
        assert_eq!((message.languages_c2s, message.languages_s2c), (&b""[..], &b"en"[..]));
        assert!(!message.first_kex_packet_follows);
    }

    #[test]
    fn malformed_messages_are_rejected() {
        let payload = builder::kex_init(LISTS);
        for length in 0..payload.len() {
            let error = KexInit::parse(&payload[..length]).unwrap_err();
            assert!(matches!(error, WireError::Truncated | WireError::BadLength), "{length}: {error}");
        }
        let longer = [&payload[..], &[0]].concat();
        assert_eq!(KexInit::parse(&longer), Err(WireError::TrailingBytes));
        let mut other = payload.clone();
        other[0] = 21;
        assert_eq!(KexInit::parse(&other), Err(WireError::Magic));
        let mut long_list = payload;
        long_list[17] = 0xff;
        assert_eq!(KexInit::parse(&long_list), Err(WireError::BadLength));
    }
}
