//! The identification string (RFC 4253, section 4.2).

use crate::wire::WireError;

/// Longest identification string, its line end included (RFC 4253, section 4.2).
pub(super) const MAX_LINE: usize = 255;

/// The prefix of an identification string. No line before it may have this prefix.
pub(super) const PREFIX: &[u8; 4] = b"SSH-";

/// `SSH-protoversion-softwareversion [SP comments]`, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification<'a> {
    line: &'a [u8],
    version: &'a [u8],
}

impl<'a> Identification<'a> {
    /// Parses a line, with or without its CR LF or bare LF.
    ///
    /// # Errors
    /// [`WireError::Magic`] if it does not begin with `SSH-`, [`WireError::Value`] without a protocol version that is
    /// followed by `-`, or with a NUL, [`WireError::TooLong`] above 255 bytes.
    pub fn parse(line: &'a [u8]) -> Result<Self, WireError> {
        if line.len() > MAX_LINE {
            return Err(WireError::TooLong);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let rest = line.strip_prefix(PREFIX).ok_or(WireError::Magic)?;
        let version = rest.split(|&byte| byte == b'-').next().unwrap_or_default();
        let named = !version.is_empty() && version.len() < rest.len();
        if !named || line.contains(&0) {
            return Err(WireError::Value);
        }
        Ok(Self { line, version })
    }

    /// The entire string: at most 255 bytes, US-ASCII if the sender conforms to the RFC.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.line
    }

    /// The protocol version, such as `2.0`; not empty.
    #[must_use]
    pub const fn version(&self) -> &'a [u8] {
        self.version
    }

    /// Whether the version is 2.x or 1.99, which announces both (RFC 4253, section 5.1).
    #[must_use]
    pub fn speaks_v2(&self) -> bool {
        self.version.starts_with(b"2.") || self.version == b"1.99"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_end_is_not_part_of_the_string() {
        for line in ["SSH-2.0-OpenSSH_9.9 comment\r\n", "SSH-2.0-OpenSSH_9.9 comment\n", "SSH-2.0-OpenSSH_9.9 comment"]
        {
            let identification = Identification::parse(line.as_bytes()).unwrap();
            assert_eq!(identification.as_bytes(), b"SSH-2.0-OpenSSH_9.9 comment");
            assert_eq!(identification.version(), b"2.0");
        }
    }

    #[test]
    fn versions_that_lead_to_a_key_exchange() {
        let speaks_v2 = |line: &str| Identification::parse(line.as_bytes()).unwrap().speaks_v2();
        assert!(speaks_v2("SSH-2.0-x") && speaks_v2("SSH-1.99-x"));
        assert!(!speaks_v2("SSH-1.5-1.2.27") && !speaks_v2("SSH-20-x") && !speaks_v2("SSH-1.999-x"));
    }

    #[test]
    fn malformed_lines_are_rejected() {
        let longest = [&b"SSH-2.0-"[..], &[b'x'; 245], b"\r\n"].concat();
        assert!(Identification::parse(&longest).is_ok());
        let too_long = [&b"SSH-2.0-"[..], &[b'x'; 246], b"\r\n"].concat();
        for (line, error) in [
            (&too_long[..], WireError::TooLong),
            (b"ssh-2.0-x", WireError::Magic),
            (b"SSH", WireError::Magic),
            (b"SSH-\r\n", WireError::Value),
            (b"SSH-2.0\r\n", WireError::Value),
            (b"SSH--x", WireError::Value),
            (b"SSH-2.0-\0", WireError::Value),
        ] {
            assert_eq!(Identification::parse(line), Err(error), "{line:?}");
        }
    }
}
