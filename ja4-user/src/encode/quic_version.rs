//! Names of QUIC versions.

use super::address::nibble;

/// Versions 1 and 2 (RFC 9000, RFC 9369).
const V1: u32 = 1;
const V2: u32 = 0x6b33_43cf;
/// Draft n has the version 0xff000000 + n (draft-ietf-quic-transport, section 15).
const DRAFT: u32 = 0xff00_0000;
/// The versions of Facebook's mvfst are 0xfaceb000 and its number for them, of one or two digits in hex.
const MVFST: u32 = 0xface_b000;

/// Appends `1`, `2`, `draft-29`, `mvfst-2`, Google's `Q050` or `T051`, and `0x1a2a3a4a` for any other.
pub(super) fn quic_version(version: u32, out: &mut Vec<u8>) {
    match (version, version.to_be_bytes()) {
        (V1, _) => out.push(b'1'),
        (V2, _) => out.push(b'2'),
        (_, [.., draft]) if version & !0xff == DRAFT => {
            out.extend_from_slice(b"draft-");
            out.extend_from_slice(itoa::Buffer::new().format(draft).as_bytes());
        }
        (_, [.., low]) if version & !0x1f == MVFST => {
            out.extend_from_slice(b"mvfst-");
            if low > 0xf {
                out.push(nibble(u16::from(low >> 4)));
            }
            out.push(nibble(u16::from(low)));
        }
        (_, text @ [b'Q' | b'T', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9']) => out.extend_from_slice(&text),
        (_, bytes) => {
            out.extend_from_slice(b"0x");
            for byte in bytes.map(u16::from) {
                out.extend_from_slice(&[nibble(byte >> 4), nibble(byte)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(version: u32) -> String {
        let mut out = Vec::new();
        quic_version(version, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn known_versions_have_names() {
        assert_eq!(name(0x0000_0001), "1");
        assert_eq!(name(0x6b33_43cf), "2");
        assert_eq!(name(0xff00_001d), "draft-29");
        assert_eq!(name(0xface_b002), "mvfst-2");
        assert_eq!(name(0xface_b00e), "mvfst-e");
        assert_eq!(name(0xface_b013), "mvfst-13");
        assert_eq!(name(0x5130_3530), "Q050");
        assert_eq!(name(0x5430_3531), "T051");
    }

    #[test]
    fn others_print_in_hex() {
        assert_eq!(name(0), "0x00000000");
        assert_eq!(name(0x1a2a_3a4a), "0x1a2a3a4a");
        assert_eq!(name(0xff00_0100), "0xff000100");
        assert_eq!(name(0xface_b020), "0xfaceb020");
        // "Q05,": a letter and digits alone are a name.
        assert_eq!(name(0x5130_352c), "0x5130352c");
    }

    proptest! {
        #[test]
        fn a_name_needs_no_escaping(version: u32) {
            let name = name(version);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            prop_assert!(name.starts_with(|first: char| first.is_ascii_alphanumeric()));
        }
    }
}
