//! A domain name in DHCP: labels without compression (RFC 4702, section 2.3.1; RFC 8415,
//! section 10).

use crate::wire::{Cursor, WireError};

/// Longest label (RFC 1035, section 2.3.4). The two bits above belong to compression pointers.
const MAX_LABEL: u8 = 63;

/// Longest name on the wire (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// Parses a name, with or without the root label at its end: a client may send its first labels only (RFC 4702,
/// section 2.3.1; RFC 4704, section 4.2). Returns presentation format without a final dot (RFC 1035, section 5.1), in
/// which all bytes but printable ASCII are escaped. The root alone yields the empty string.
///
/// # Errors
/// [`WireError::Value`] at a pointer, [`WireError::Truncated`] if a label exceeds the region,
/// [`WireError::TooLong`] above 255 bytes. Bytes after the root are ignored.
pub(super) fn presentation(region: &[u8]) -> Result<String, WireError> {
    let mut cursor = Cursor::new(region);
    let mut name = String::new();
    while !cursor.is_empty() {
        let length = cursor.u8()?;
        if length > MAX_LABEL {
            return Err(WireError::Value);
        }
        let label = cursor.take(usize::from(length))?;
        if label.is_empty() {
            break;
        }
        if region.len() - cursor.remaining() > MAX_NAME {
            return Err(WireError::TooLong);
        }
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in label {
            escape(byte, &mut name);
        }
    }
    Ok(name)
}

/// Appends one byte of a label: `\.` and `\\`, `\DDD` in decimal, or the byte itself.
fn escape(byte: u8, out: &mut String) {
    match byte {
        b'.' | b'\\' => out.extend(['\\', char::from(byte)]),
        b'!'..=b'~' => out.push(char::from(byte)),
        _ => {
            let digits = [byte / 100, byte / 10 % 10, byte % 10];
            out.push('\\');
            out.extend(digits.map(|digit| char::from(b'0' + digit)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_joined_with_dots_with_and_without_the_root() {
        for region in [
            &b"\x04host\x07example\x03org\x00"[..],
            b"\x04host\x07example\x03org",
            b"\x04host\x07example\x03org\x00\x01x",
        ] {
            assert_eq!(presentation(region).as_deref(), Ok("host.example.org"));
        }
        assert_eq!(presentation(b"\0").as_deref(), Ok(""));
        assert_eq!(presentation(b"").as_deref(), Ok(""));
    }

    #[test]
    fn special_bytes_are_escaped() {
        assert_eq!(presentation(b"\x05a.b\\c\x04\x00 \x7f\xff").as_deref(), Ok(r"a\.b\\c.\000\032\127\255"));
    }

    #[test]
    fn pointers_and_oversized_names_are_rejected() {
        assert_eq!(presentation(b"\x04host\xc0\x0c"), Err(WireError::Value));
        assert_eq!(presentation(b"\x40"), Err(WireError::Value));
        assert_eq!(presentation(b"\x05host"), Err(WireError::Truncated));
        let labels = |count| [[1, b'a']].repeat(count).concat();
        assert!(presentation(&labels(127)).is_ok());
        assert_eq!(presentation(&labels(128)), Err(WireError::TooLong));
    }
}
